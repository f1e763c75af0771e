"""One exported file and one built library, on the oldest and the newest onnxruntime.

The virtual environments made here have onnxruntime and numpy and nothing of ours.
"""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pqv_onnx
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.runtime.library import get_library_path

VERSIONS = {
    "oldest": ["onnxruntime==1.18.0", "numpy<2"],
    "newest": ["onnxruntime", "numpy"],
}

RUN_WITHOUT_US = """
import importlib.util, sys
import numpy as np
import onnxruntime

assert importlib.util.find_spec("pqv_onnx") is None
model, inputs, outputs, library = sys.argv[1:]
options = onnxruntime.SessionOptions()
if library:
    options.register_custom_ops_library(library)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
images = np.load(inputs)
np.save(outputs, session.run(None, {session.get_inputs()[0].name: images})[0])
print(onnxruntime.__version__)
"""


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a new virtual environment with one version of onnxruntime."""
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", *VERSIONS[request.param]]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1]
        if os.environ.get("CI"):
            pytest.fail(f"pip could not install {VERSIONS[request.param]}: {reason}")
        pytest.skip(f"pip could not install {VERSIONS[request.param]}: {reason}")
    return python


def run_without_us(
    python: Path, model: Path, given: np.ndarray, library: str | Path, folder: Path
) -> np.ndarray:
    """What a model gives in another environment."""
    inputs, outputs = folder / "inputs.npy", folder / "logits.npy"
    np.save(inputs, given)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [python, "-c", RUN_WITHOUT_US, str(model), str(inputs), str(outputs), str(library)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(outputs)


@pytest.mark.parametrize("use_library", [False, True], ids=["functions", "library"])
@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_same_bits_without_our_package(
    python: Path, precision: str, use_library: bool, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    model = tiny_onnx[precision]
    session = pqv_onnx.InferenceSession(model)
    shape = (3, *session.get_inputs()[0].shape[1:])
    images = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (expected,) = session.run(None, {session.get_inputs()[0].name: images})
    library = get_library_path() if use_library else ""
    found = run_without_us(python, model, images, library, tmp_path)
    assert found.dtype == expected.dtype
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("size", [(480, 640), (900, 30), (5, 3)])
def test_an_image_is_resized_to_the_same_bits(
    python: Path, size: tuple[int, int], tiny_qat: dict[str, Any], tmp_path: Path
) -> None:
    integer = convert_to_integer(tiny_qat["w8a8"])
    for kind in ("image", "float"):
        export_onnx(integer, tmp_path / f"{kind}.onnx", input=kind)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "x.png")
    images = integer.config.input.load(tmp_path / "x.png")
    (expected,) = pqv_onnx.InferenceSession(tmp_path / "float.onnx").run(None, {"images": images})
    found = run_without_us(python, tmp_path / "image.onnx", image, "", tmp_path)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))
