"""The image search finds an image itself, and says what is wrong with a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.spec import QuantSpec
from tests.trace.models import MODELS, images

SCRIPT = Path(__file__).parents[2] / "examples" / "image_search.py"


def search(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exported(path: Path, task: str) -> Path:
    small = MODELS["vit"]
    model = convert_to_qat(small.make(), QuantSpec.preset("w8a8"), task=task)
    calibrate(model, images(small.size, 4))
    embedding = "int8" if task == "unit_embedding" else "float"
    export_onnx(convert_to_integer(model), path, embedding=embedding)
    return path


@pytest.mark.parametrize("task", ["embedding", "unit_embedding"])
def test_an_image_is_most_like_itself(task: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    model = exported(tmp_path / "m.onnx", task)
    found = search(model, folder, folder / "b.png", "-k", 2)
    lines = [line for line in found.stdout.splitlines() if line.endswith(".png")]
    assert lines[0] == f"1.0000  {folder / 'b.png'}", found.stderr
    assert len(lines) == 2
    missing = search(model, tmp_path / "nothing", folder / "b.png")
    assert missing.returncode == 1 and "has no images" in missing.stderr


def test_models_with_a_head_are_refused(tmp_path: Path) -> None:
    model = exported(tmp_path / "m.onnx", "logits")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    found = search(model, tmp_path, tmp_path / "a.png")
    assert found.returncode == 1
    assert "gives logits, expected an embedding" in found.stderr
