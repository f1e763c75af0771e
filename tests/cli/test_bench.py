"""``pqv bench``: what it prints and writes, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from pqv_onnx.bench import machine, modelled
from pqv_onnx.graph.load import metadata
from pqv_onnx.runtime.info import library_info


def test_help_has_an_example(pqv) -> None:
    done = pqv("bench", "--help")
    assert done.code == 0
    assert "Example: " in done.out and "pqv bench" in done.out and "--json" in done.out


def test_everything_takes_part(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    flags = ("--threads", 1, "--threads", 2, "--batch", 3, "--runs", 3, "--warmup", 1)
    flags += ("--isa", "scalar", "--functions", "--against", tiny_onnx["w8a8"], "--profile")
    done = pqv("bench", tiny_onnx["w4a4"], *flags, "--json", result)
    assert done.code == 0, done.err
    for words in ("w4a4.onnx, scalar", "w4a4.onnx, functions", "w8a8.onnx", "IntAttention"):
        assert words in done.out
    report = json.loads(result.read_text())
    assert [(r["threads"], r["batch"]) for r in report["results"]] == [(1, 3)] * 3 + [(2, 3)] * 3
    assert [r["ratio"] for r in report["results"]][::3] == [1.0, 1.0]
    assert all(r["runs"] == 3 and r["p10"] <= r["median"] <= r["p90"] for r in report["results"])
    assert len(report["profiles"]) == 6
    assert report["machine"]["cpu"]


def test_the_librarys_choice_is_the_default(pqv, tiny_onnx: dict[str, Path]) -> None:
    done = pqv("bench", tiny_onnx["w4a4"], "--runs", 1, "--warmup", 1)
    assert done.code == 0, done.err
    assert f"w4a4.onnx, {library_info()['selected']}" in done.out


def test_what_was_modelled_is_held_against_it(
    pqv, tiny_onnx: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a board would show it; the cycles are made up."""
    model, cycles = onnx.load(tiny_onnx["w4a4"]), {"big": 2_000_000, "little": 0}
    variant, network = library_info()["selected"], metadata(model)["pqv.model"]
    known = {
        "model": network,
        "cores": {variant: {"big": "big", "little": "little"}},
        "cycles": {variant: {"pqv-w4a4": cycles}},
    }
    (tmp_path / "modelled.json").write_text(json.dumps(known))
    monkeypatch.setattr(modelled, "MODELLED", tmp_path / "modelled.json")
    monkeypatch.setattr(machine, "_highest_clock", lambda: 1000.0)
    result = tmp_path / "r.json"
    done = pqv("bench", tiny_onnx["w4a4"], "--functions", "--runs", 1, "--json", result)
    assert "times the 2.00 ms that are modelled for a big at 1000 MHz" in done.out
    (entry, other) = json.loads(result.read_text())["results"]
    assert entry["modelled"] == {"core": "big", "mhz": 1000.0, "ms": 2.0}
    assert "modelled" not in other


def test_errors_are_one_line(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model, missing = tiny_onnx["w4a4"], tmp_path / "none.onnx"
    assert str(missing) in pqv("bench", missing).error
    assert str(missing) in pqv("bench", model, "--against", missing).error
    assert "nonsense" in pqv("bench", model, "--isa", "nonsense").error
    assert str(tmp_path) in pqv("bench", model, "--json", tmp_path).error


@pytest.mark.parametrize("flags", [("--threads", 0), ("--runs", 0), ("--batch", 0), ("--top", 1)])
def test_wrong_usage_exits_with_2(flags: tuple[object, ...], pqv) -> None:
    assert pqv("bench", "m.onnx", *flags).code == 2


def test_it_needs_no_torch(tiny_onnx: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pqv_onnx.cli.main import main\n"
        "sys.argv = ['pqv', 'bench', sys.argv[1], '--runs', '1', '--warmup', '1']; main()"
    )
    command = [sys.executable, "-c", code, str(tiny_onnx["w8a8"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
