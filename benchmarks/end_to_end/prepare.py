"""The models of a benchmark: one float model with random weights, in every form.

`python -m benchmarks.end_to_end.prepare MODEL RECIPE=FILE...` makes the files and prints one line
of JSON per file: the recipe, and why it failed if it did. A process of its own, because the
libraries that do the work print, spawn threads and take memory.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pqv_onnx.spec import PRESETS

SEED = 0
CALIBRATION_IMAGES = 8


@cache
def float_model(name: str) -> Any:
    """The timm model with the same random weights that our export quantizes."""
    import torch

    from pqv_onnx.qat.build import create_timm, randomize

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = create_timm(name)
        randomize(model)
    return model.eval()


def images(name: str) -> np.ndarray:
    """Normalised images of uniform random pixels, float32 [B, C, H, W]."""
    from timm.data import resolve_data_config

    config = resolve_data_config(model=float_model(name))
    mean, std = (np.reshape(config[key], (-1, 1, 1)) for key in ("mean", "std"))
    pixels = np.random.default_rng(SEED).random((CALIBRATION_IMAGES, *config["input_size"]))
    return ((pixels - mean) / std).astype(np.float32)


def make_ours(precision: str) -> Callable[[str, Path, Path], None]:
    """A recipe for our own export."""

    def make(name: str, _: Path, target: Path) -> None:
        from pqv_onnx.graph.export import export_onnx
        from pqv_onnx.integer import convert_to_integer
        from pqv_onnx.qat import build_random_qat
        from pqv_onnx.spec import QuantSpec

        qat = build_random_qat(name, QuantSpec.preset(precision), SEED)
        export_onnx(convert_to_integer(qat), target)

    return make


def make_fp32(name: str, _: Path, target: Path) -> None:
    from pqv_onnx.graph.float_model import export_float

    export_float(float_model(name), target, images(name).shape[1:])


def make_static(name: str, fp32: Path, target: Path) -> None:
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = ({"images": image[np.newaxis]} for image in images(name))

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    quantization.quantize_static(
        _inferred(fp32, target),
        target,
        Images(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )


def make_dynamic(_: str, fp32: Path, target: Path) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        _inferred(fp32, target),
        target,
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
    )


def _inferred(fp32: Path, target: Path) -> Path:
    """The model as onnxruntime wants it for quantization, in a file beside ``target``."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = target.with_name("inferred.onnx")
    quant_pre_process(str(fp32), str(path))
    return path


def make_nbits(_: str, fp32: Path, target: Path) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # Accuracy level 4: int8 arithmetic, the fastest that there is.
    quantizer = MatMulNBitsQuantizer(
        str(fp32), bits=4, block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))


def make_nncf(name: str, fp32: Path, target: Path) -> None:
    import nncf
    import openvino

    quantized = nncf.quantize(
        openvino.Core().read_model(fp32),
        nncf.Dataset([image[np.newaxis] for image in images(name)]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=CALIBRATION_IMAGES,
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


RECIPES: dict[str, Callable[[str, Path, Path], None]] = {
    **{precision: make_ours(precision) for precision in PRESETS},
    "fp32": make_fp32,
    "static": make_static,
    "dynamic": make_dynamic,
    "nbits": make_nbits,
    "nncf": make_nncf,
}


def find_recipe(name: str) -> Callable[[str, Path, Path], None]:
    if name in RECIPES:
        return RECIPES[name]
    from benchmarks.end_to_end import mobile  # which imports from here

    return mobile.RECIPES[name]


def make(model: str, recipe: str, fp32: Path, target: Path) -> None:
    """Make one file, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        find_recipe(recipe)(model, fp32, made)
        for part in sorted(made.parent.glob(f"{made.stem}.*")):  # OpenVINO: .bin, then .xml
            part.replace(target.parent / part.name)


@contextmanager
def stdout_to_stderr() -> Iterator[int]:
    """Let everything print to stderr; yields a descriptor of the real stdout."""
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        yield real
    finally:
        os.dup2(real, 1)
        os.close(real)


def main(model: str, *wanted: str) -> None:
    files = dict(item.split("=", 1) for item in wanted)
    fp32 = Path(files.get("fp32", ""))  # what the peers are made of
    with stdout_to_stderr() as real:
        for recipe, target in files.items():
            error = None
            try:
                if not Path(target).exists():
                    make(model, recipe, fp32, Path(target))
            except Exception as failure:  # whatever a library raises: the others go on
                error = " ".join(str(failure).split()) or type(failure).__name__
            os.write(real, json.dumps({"recipe": recipe, "error": error}).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
