"""Calibration: every step is set, from good data only."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, build_random_qat, calibrate, convert_to_qat
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.handlers import Add
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model, images, qat_model

W4A4 = QuantSpec.preset("w4a4")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_step_is_set(variant: str) -> None:
    model = convert_to_qat(float_model(variant), W4A4)
    with pytest.raises(PqvError, match="^quantizer has no positive step"):
        check_calibrated(model)
    with pytest.raises(PqvError, match="calibrate the model first"):
        model(images(2))
    calibrate(model, images(8).split(3))
    check_calibrated(model)
    assert bool(torch.isfinite(model(images(2))).all())


@pytest.mark.parametrize(
    "options",
    [{}, {"centering": True}, {"balancing": True}, {"bias_correction": True}],
    ids=lambda options: " ".join(options) or "steps",
)
@pytest.mark.parametrize("variant", ["token", "average", "distilled", "swin"])
def test_batches_do_not_change_a_bit(variant: str, options: dict[str, bool]) -> None:
    states = []
    for batches in (images(21), images(21).split(4), images(21).split(5), images(21).split(20)):
        model = convert_to_qat(float_model(variant), W4A4)
        calibrate(model, batches, Calibration(**options))
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert all(torch.equal(value, state[name]) for state in states[1:]), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_segments_are_the_forward_pass(variant: str) -> None:
    model = qat_model(variant)
    x = data = images(3)
    for segment in model.segments():
        x = segment(x)
    assert torch.equal(x, model(data))


def test_every_quantizer_sees_calibrated_ones() -> None:
    """A step is the one of least error for what the finished model feeds its quantizer."""
    model, data = qat_model(), images(32)
    checked: list[str] = []

    def check(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def see(quantizer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(quantizer, Quantizer)
            x = inputs[0]
            checked.append(name)
            error = (quantizer.quantize(x) - x).square().mean()
            other = copy.deepcopy(quantizer)
            other.calibrate(x)
            assert error <= 1.05 * (other.quantize(x) - x).square().mean() + 1e-12, name

        return see

    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.register_forward_pre_hook(check(name))
    with torch.no_grad():
        model(data)
    assert len(checked) > 30


def test_memory_does_not_grow_with_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer is ever given more than a few images at once."""
    largest = 0
    linear = QuantLinear.forward

    def watched(self: QuantLinear, x: Tensor, step: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, len(x))
        return linear(self, x, step)

    monkeypatch.setattr(QuantLinear, "forward", watched)
    calibrate(convert_to_qat(float_model(), W4A4), images(50))
    assert 0 < largest <= 8


def test_timms_initial_weights_calibrate() -> None:
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, num_classes=10)
    model = convert_to_qat(vit, W4A4)
    calibrate(model, torch.randn(2, 3, 32, 32))
    assert bool(torch.isfinite(model(torch.randn(2, 3, 32, 32))).all())


def test_residual_steps_do_not_fall_too_fast() -> None:
    vit = float_model()
    with torch.no_grad():
        vit.pos_embed.mul_(0)
        vit.blocks[0].attn.proj.weight.mul_(100)  # opens wide, then nothing is added
        for block in vit.blocks:
            block.mlp.fc2.weight.mul_(0)
    model = convert_to_qat(vit, W4A4)
    calibrate(model, images(8))
    stream = [m for m in model.modules() if isinstance(m, ResidualQuantizer)]
    for before, after in zip(stream, stream[1:], strict=False):
        assert (before.channel_step / after.channel_step).max() <= 2.001


def test_bad_images() -> None:
    model = convert_to_qat(float_model(), W4A4)
    with pytest.raises(PqvError, match="found no images"):
        calibrate(model, [])
    with pytest.raises(PqvError, match="found no images"):
        calibrate(model, images(0))
    with pytest.raises(PqvError, match=r"shape \[2, 1, 16, 16\], expected \[B, 1, 16, 12\]"):
        calibrate(model, torch.zeros(2, 1, 16, 16))
    with pytest.raises(PqvError, match=r"shape \[1, 1, 8, 8\], expected \[B, 1, 16, 12\]"):
        calibrate(model, [images(2), torch.zeros(1, 1, 8, 8)])
    with pytest.raises(PqvError, match="NaN or infinite"):
        calibrate(model, images(2) * math.nan)
    for wrong in (images(2).byte(), images(2).double(), [images(2), images(2).half()]):
        with pytest.raises(PqvError, match=r"images are torch.*, expected .* torch.float32 tensor"):
            calibrate(model, wrong)
    with pytest.raises(PqvError, match=r"images are a ndarray, expected"):
        calibrate(model, [images(2).numpy()])


def test_random_models_are_the_same_for_the_same_seed() -> None:
    data = torch.randn(1, 3, 224, 224)
    before = torch.random.get_rng_state()
    first = build_random_qat("deit_tiny_patch16_224", W4A4, seed=3, images=data)
    second = build_random_qat("deit_tiny_patch16_224", W4A4, seed=3, images=data)
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_random_models_of_unknown_names() -> None:
    with pytest.raises(PqvError, match="unknown timm model 'vit_of_nowhere'"):
        build_random_qat("vit_of_nowhere", W4A4, seed=0)
    with pytest.raises(PqvError, match="unknown timm model 'deit_.*Invalid pretrained tag .no_tag"):
        build_random_qat("deit_tiny_patch16_224.no_tag", W4A4, seed=0)
    with pytest.raises(PqvError, match="'deit_tiny', did you mean deit_tiny_patch16_224 or deit_t"):
        build_random_qat("deit_tiny", W4A4, seed=0)
    with pytest.raises(PqvError, match="resnet18: bn1: batch_norm is not supported; `pqv models`"):
        build_random_qat("resnet18", W4A4, seed=0)


def test_precision_orders_the_error() -> None:
    wanted = float_model()(images(16, seed=1))
    errors = {
        p: (qat_model(precision=p)(images(16, seed=1)) - wanted).square().mean()
        for p in ("w8a8", "w4a4")
    }
    assert errors["w8a8"] < errors["w4a4"] / 10


@pytest.mark.parametrize("residual", ["rotated", "power-of-two", "per-tensor"])
def test_wide_positions_keep_their_codes(residual: str) -> None:
    """Positions that the patches cancel are far wider than the stream that they become."""
    vit = float_model()
    with torch.no_grad():
        vit.pos_embed[:, 1:, 3] += 100
        vit.patch_embed.proj.bias[3] -= 100
    model = convert_to_qat(vit, W4A4.with_schemes({"residual": residual}))
    calibrate(model, images(8))
    positions = next(
        handler.quantized_constant()
        for handler in model.handlers.values()
        if isinstance(handler, Add) and handler.constant is model.pos_embed
    )
    assert (positions.channel_step / model.residual.channel_step).max() <= 2.001
    assert positions.codes.abs().amax((0, 1)).min() == 127
    with torch.no_grad():
        assert torch.equal(model(images(8)), convert_to_integer(model)(images(8)))
