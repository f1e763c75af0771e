"""What the tests of exported files share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import IntegerModel, convert_to_integer


@pytest.fixture(scope="session")
def integer(tiny_qat: dict[str, Any]) -> IntegerModel:
    """The tiny model of integer ops; do not change it."""
    return convert_to_integer(tiny_qat["w4a4"])


@pytest.fixture(scope="session")
def of_images(integer: IntegerModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported file; do not change it."""
    path = tmp_path_factory.mktemp("exported") / "m.onnx"
    export_onnx(integer, path, input="image")
    return path
