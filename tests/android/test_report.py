"""`pqv android bench --report`: numbers of a phone that was made up, beside the modelled ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from pqv_onnx.android.bundle import Bundle
from pqv_onnx.android.report import make_report
from pqv_onnx.bench.modelled import MODELLED

MODEL = json.loads(MODELLED.read_text())
BIG, LITTLE = (MODEL["cores"]["dotprod"][size] for size in ("big", "little"))
DEVICE = {
    "serial": "R5CT",
    "manufacturer": "Acme",
    "model": "P1",
    "soc": "",
    "android": "14",
    "api": "34",
    "cpu_mhz": [1800.0, 1800.0, 2400.0, 3200.0],
}


def measured(
    name: str, p50: float, threads: int = 1, mhz: float | None = 1600, **more: Any
) -> dict[str, Any]:
    """A result as `pqv android bench` has it, on cores with dot products."""
    clocks = [{"cpu": 0, "mhz": None}, {"cpu": 1, "mhz": mhz}]
    report = {
        "library": {"selected": "dotprod"},
        "ms": {"p50": p50, "p90": p50 + 1, "p99": p50 + 2},
        "load_ms": 12.3,
        "peak_memory_bytes": 50_000_000,
        "after": {"temperature": None, "clocks": clocks},
    }
    entry = {"name": name, "kind": "pqv", "threads": threads, "cores": "big", "report": report}
    return entry | more


def modelled_ms(model: str, core: str = BIG, mhz: float = 3200) -> float:
    return float(MODEL["cycles"]["dotprod"][model][core] / mhz / 1000)


@pytest.fixture
def bundle(tiny_onnx: dict[str, Path], tmp_path: Path) -> Bundle:
    """Of the modelled network, by what its files say of themselves."""
    for precision in ("w4a4", "w8a8"):
        model = onnx.load(tiny_onnx[precision])
        old = {entry.key: entry.value for entry in model.metadata_props}
        onnx.helper.set_model_props(model, old | {"pqv.model": MODEL["model"]})
        onnx.save(model, tmp_path / f"{precision}.onnx")
    models = [
        {"name": name, "kind": kind, "path": f"{name}.onnx"}
        for name, kind in (("w4a4", "pqv"), ("w8a8", "pqv"), ("float", "fp32"))
    ]
    return Bundle(tmp_path, {"models": models, "pqv_onnx": "0.1.0", "onnxruntime": "1.22.0"})


def written(bundle: Bundle, *entries: dict[str, Any], complete: bool = True) -> str:
    about = {key: bundle.manifest[key] for key in ("pqv_onnx", "onnxruntime")}
    result = {"device": DEVICE, "bundle": about, "complete": complete, "results": list(entries)}
    return make_report(result, bundle)


def test_beside_the_model(bundle: Bundle) -> None:
    """At half the clock, twice the time is what was modelled."""
    ours, theirs = modelled_ms("pqv-w4a4"), modelled_ms("ort-fp32")
    little = modelled_ms("pqv-w4a4", LITTLE, 1800)
    text = written(
        bundle,
        measured("w4a4", 3 * ours),
        measured("w4a4", ours, threads=4),
        measured("w4a4", little, mhz=None, cores="little"),
        measured("float", theirs, kind="fp32", mhz=None),
    )
    assert f"| w4a4 (pqv) | big | {BIG} | 1600 | {3 * ours:.2f} | {2 * ours:.2f} | 1.50 |" in text
    # Where the phone does not tell, its highest clock: that of the model here.
    assert f"(onnxruntime fp32) | big | {BIG} | 3200 | {theirs:.2f} | {theirs:.2f} | 1.00 |" in text
    assert f"| little | {LITTLE} | 1800 | {little:.2f} | {little:.2f} | 1.00 |" in text
    assert text.count("| 1.50 |") == 1  # four threads were not modelled
    assert "kernels of the op library: dotprod" in text


def test_the_figure_and_the_data(bundle: Bundle) -> None:
    text = written(bundle, measured("w4a4", 10), measured("w8a8", 20), complete=False)
    assert f"  w4a4 (pqv)  {'█' * 20} 10.00\n  w8a8 (pqv)  {'█' * 40} 20.00\n" in text
    assert "**The measurement ended early**" in text
    assert "R5CT" not in text and "# pqv_onnx on Acme P1\n" in text
    data = json.loads(text.split("```json\n")[1].removesuffix("\n```\n"))
    assert [entry["report"]["ms"]["p50"] for entry in data["results"]] == [10, 20]


def test_models_that_were_not_modelled(bundle: Bundle, tiny_onnx: dict[str, Path]) -> None:
    other = {**bundle.manifest, "models": [{"name": "m", "kind": "pqv", "path": "w4a4.onnx"}]}
    text = written(Bundle(tiny_onnx["w4a4"].parent, other), measured("m", 10))
    assert f"Nothing to compare: modelled is {MODEL['model']} on one thread, at w4a4, w8a8" in text


def test_nothing_measured(bundle: Bundle) -> None:
    assert "none ran" in written(bundle, complete=False)
