"""Benchmarks ask where they may write before they work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.accuracy import ablation
from benchmarks.arm64 import count
from benchmarks.end_to_end import __main__ as end_to_end
from benchmarks.kernels import __main__ as kernels
from pqv_onnx.errors import PqvError


def work(*_: object, **__: object) -> None:
    pytest.fail("it works before it knows where its results go")


COUNT = (None, "model", ["none"], False)
RUNS: dict[str, tuple[object, str, Callable[[Path], object]]] = {
    "arm64": (count, "measure", lambda output: count.main(*COUNT, output=output)),
    "kernels": (
        kernels, "_build_peaks",
        lambda output: kernels.main(None, None, 1, 1, 1.0, output, True),
    ),
    "end_to_end": (
        end_to_end, "_prepare",
        lambda output: end_to_end.main(None, None, None, None, None, 1, 1, 1.0, output, True),
    ),
    "accuracy": (ablation, "run_row", lambda output: ablation.main(output, 1, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_folder_that_cannot_be_made(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, first_step, run = RUNS[name]
    monkeypatch.setattr(module, first_step, work)
    (tmp_path / "file").touch()
    with pytest.raises((PqvError, SystemExit), match="cannot be made"):
        run(tmp_path / "file" / "folder")


def test_tables_without_llvm_mca(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(count.mca, "is_available", lambda: False)
    count.show({"model": "m", "models": {}, "kernels": {}, "loops": {"neon": {}, "i8mm": {}}})
    shown = capsys.readouterr().out
    assert "llvm-mca-19, which is not installed" in shown
    assert "inner loops" not in shown
