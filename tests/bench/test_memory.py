"""The memory of a model, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.bench.memory import peak_memory
from pqv_onnx.errors import PqvError


def test_a_model_takes_some(tiny_onnx: dict[str, Path]) -> None:
    assert 1e5 < peak_memory(tiny_onnx["w4a4"]) < 1e9


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="memory cannot be measured: .*there is no such file"):
        peak_memory(tmp_path / "none.onnx")
