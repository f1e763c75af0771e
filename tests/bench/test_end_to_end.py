"""The parts of `benchmarks` that can be tried without making models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.end_to_end import __main__ as end_to_end
from benchmarks.end_to_end import caps, report
from benchmarks.end_to_end.child import Child, ChildError
from benchmarks.end_to_end.peers import CONTESTANTS, OURS, PEERS
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.info import library_info


def config(path: Path, **more: Any) -> dict[str, Any]:
    common = {"runtime": "pqv", "threads": 1, "batch": 1, "settings": {}}
    return {**common, "path": str(path), **more}


def test_measure_and_report(tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    # The functions stand in for a peer: stock onnxruntime runs them.
    paths = {f"pqv-{name}": path for name, path in tiny_onnx.items()}
    paths["ort-fp32"] = tiny_onnx["w8a8"]
    setting = end_to_end.Setting("tiny", "native", 1, 2)
    skipped: list[str] = []
    records = end_to_end._measure(setting, paths, 1, 3, 60.0, skipped)
    assert skipped == []
    assert [record["name"] for record in records] == ["pqv-w8a8", "pqv-w4a4", "ort-fp32"]
    assert records[0]["ratios"]["pqv-w8a8"] == 1.0
    assert records[0]["kernels"] == library_info()["selected"]
    assert all(record["runs"] == 3 and record["rss_bytes"] > 0 for record in records)
    result = {
        "machine": end_to_end.describe_machine(("onnxruntime",)),
        "titles": {name: CONTESTANTS[name].title for name in paths},
        "skipped": ["a peer: a reason"],
        "records": records,
    }
    report.write(result, tmp_path)
    text = (tmp_path / "end_to_end.md").read_text()
    for words in ("onnxruntime fp32", "PackedInt4MatMul", "threads 1, batch 2", "a reason"):
        assert words in text
    assert (tmp_path / "end_to_end.png").stat().st_size > 0


def test_a_child_says_why_it_ended(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="there is no such file"):
        Child(config(tmp_path / "none.onnx"), {})


@pytest.mark.parametrize("isa", ["avxvnni", "avx2"])
def test_our_isa_is_held_down(isa: str, tiny_onnx: dict[str, Path]) -> None:
    if isa not in library_info()["available"]:
        pytest.skip(f"this CPU has no {isa}")
    environment, _ = caps.hold_down(isa, OURS["pqv-w4a4"])
    with Child(config(tiny_onnx["w4a4"]), environment) as child:
        assert child.loaded["isa"] == isa


@pytest.mark.parametrize("isa", ["avxvnni", "avx2"])
def test_a_trapped_cpu_still_runs_onnxruntime(isa: str, tiny_onnx: dict[str, Path]) -> None:
    try:
        environment, _ = caps.hold_down(isa, PEERS["ort-fp32"])
    except ChildError:
        pytest.skip("CPUID cannot be trapped on this machine")
    with Child(config(tiny_onnx["w8a8"], runtime="onnxruntime"), environment) as child:
        assert len(child.time(2)) == 2


def test_what_has_no_lower_isa_is_refused() -> None:
    with pytest.raises(ChildError, match="below the native ISA"):
        caps.hold_down("avx2", PEERS["openvino-default"])


def test_unknown_names_are_errors() -> None:
    with pytest.raises(PqvError, match="unknown peer 'tvm', expected one of ort-fp32"):
        end_to_end._chosen(["tvm"], None)
    with pytest.raises(PqvError, match="unknown ISA 'sse'"):
        end_to_end._chosen(None, ["sse"])
    assert end_to_end._chosen(["none"], None) == list(OURS)


def test_help_has_an_example() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.end_to_end", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert "--quick" in done.stdout and "Example" in done.stdout
