"""Every structure of timm's transformers: the float model, and what is trained is what runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pqv_onnx.checkpoint import load_qat, save_qat
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.runtime.preprocess import Preprocessing
from pqv_onnx.spec import QuantSpec
from tests.trace.models import MODELS, images

REFUSED = {"parallel_mlp"}
STRUCTURES = sorted(MODELS.keys() - REFUSED)
HALVES = Preprocessing((0.5,) * 3, (0.5,) * 3)


def quantized(structure: str, precision: str = "w4a4") -> QuantModel:
    """An uncalibrated model in evaluation mode."""
    small = MODELS[structure]
    spec = QuantSpec.preset(precision)
    return convert_to_qat(small.make(), spec, HALVES, size=small.size).eval()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_full_precision_is_timms(structure: str) -> None:
    small = MODELS[structure]
    model, data = quantized(structure), images(small.size)
    with torch.no_grad(), full_precision():
        torch.testing.assert_close(model(data), small.make()(data), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_what_is_trained_is_what_runs(structure: str, precision: str) -> None:
    model, data = quantized(structure, precision), images(MODELS[structure].size, 4)
    calibrate(model, data)
    with torch.no_grad():
        assert torch.equal(model(data), convert_to_integer(model)(data))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_gradient_reaches_every_parameter(structure: str) -> None:
    model, data = quantized(structure, "w8a8"), images(MODELS[structure].size, 4)
    calibrate(model, data)
    model.train()(data).square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), name


@pytest.mark.parametrize("structure", ["swinv2", "eva02", "naflex_map"])
def test_checkpoints_hold_all_of_it(structure: str, tmp_path: Path) -> None:
    model, data = quantized(structure), images(MODELS[structure].size, 4)
    calibrate(model, data)
    save_qat(tmp_path / "m.safetensors", model)
    with torch.no_grad():
        assert torch.equal(load_qat(tmp_path / "m.safetensors")(data), model(data))
