"""Bias correction: the layers of the quantized model give what the float model gives on average."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.bias_correction import mean_outputs
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images, prepared

W4A4 = QuantSpec.preset("w4a4")
AS_THEY_ARE = W4A4.with_schemes(
    {"residual": "power-of-two", "qkv": "per-tensor", "gelu": "asymmetric"}
)
CORRECTED = Calibration(bias_correction=True)


@torch.no_grad()
def record(model: nn.Module, kinds: Any, data: Tensor) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The mean output of each module of some kinds, and its last inputs, by name.

    Images go in as they do at calibration: others beside them change the last bits of a sum,
    and then a code or two.
    """
    outputs: dict[str, list[Tensor]] = defaultdict(list)
    inputs: dict[str, Any] = {}
    for name, module in model.named_modules():
        if isinstance(module, kinds):

            def hook(_module: nn.Module, given: Any, out: Any, name: str = name) -> None:
                real = out.real if isinstance(out, Sums) else out
                outputs[name].append(real.flatten(0, -2))
                inputs[name] = given

            module.register_forward_hook(hook)
    for chunk in data.split(8):
        model(chunk)
    return {name: torch.cat(parts).mean(0) for name, parts in outputs.items()}, inputs


def all_means(model: QuantModel, data: Tensor) -> dict[str, Tensor]:
    """What each layer with a bias gives on average in full precision, by name."""
    names, found = {module: name for name, module in model.named_modules()}, {}

    def see(segment: Segment, chunks: list[Tensor]) -> None:
        found.update(
            {names[linear]: mean for linear, mean in mean_outputs(segment, chunks).items()}
        )

    prepared(model, data, see)
    return found


@pytest.mark.parametrize("variant", ["token", "average", "swin", "without_bias"])
def test_mean_outputs_are_those_of_the_float_model(variant: str) -> None:
    teacher = float_model(variant)
    found = all_means(convert_to_qat(teacher, AS_THEY_ARE), images(20))
    wanted, _ = record(teacher, nn.Linear, images(20))
    assert len(found) > 1
    for name, mean in found.items():
        if name != "patch_embed.proj":  # a convolution in the float model
            torch.testing.assert_close(mean, wanted[name], atol=1e-5, rtol=1e-4)


def test_of_two_heads_it_is_the_mean() -> None:
    teacher = float_model("distilled")
    found = all_means(convert_to_qat(teacher, W4A4), images(20))
    with torch.no_grad():
        wanted = teacher(images(20)).mean(0)
    torch.testing.assert_close(found["head"], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", ["token", "average", "distilled", "swin"])
def test_corrected_layers_have_the_float_means(variant: str) -> None:
    in_order = W4A4.with_schemes({"gelu": "asymmetric"})  # hidden channels stay where they are
    model = convert_to_qat(float_model(variant), in_order)
    wanted = all_means(model, images(21))
    calibrate(model, images(21), CORRECTED)
    found, inputs = record(model, QuantLinear, images(21))
    modules = dict(model.named_modules())
    for name, mean in wanted.items():
        # A bias is a whole number of units of the accumulator.
        unit = modules[name].quantizer.step.squeeze(1) * inputs[name][1]
        assert bool(((found[name] - mean).abs() < 0.5 * unit + 1e-4).all()), name


def test_a_run_that_fails_leaves_biases_as_they_were() -> None:
    model = convert_to_qat(float_model("token"), W4A4)
    before = {name: bias.clone() for name, bias in model.named_parameters() if "bias" in name}
    data = images(3)
    data[0, 0, 0, 0] = torch.nan
    with pytest.raises(PqvError):
        calibrate(model, data, CORRECTED)
    found = dict(model.named_parameters())
    assert all(torch.equal(found[name], bias) for name, bias in before.items())
