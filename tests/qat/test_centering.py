"""What tokens have in common is taken off what is quantized, and the model's output stays."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.centering import Shift, _center, center, find_shifts
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.layers import QuantNorm
from pqv_onnx.qat.routes import Routes
from pqv_onnx.spec import QuantSpec
from tests.qat.models import decibels_of, float_model, images, prepared
from tests.qat.test_families import STRUCTURES, quantized
from tests.trace.models import MODELS
from tests.trace.models import images as images_of

W4A4 = QuantSpec.preset("w4a4")


def shifts_of(model: QuantModel) -> list[Shift]:
    return find_shifts(Routes(model.config.backbone.graph, model.handlers))


def centered(model: QuantModel, data: Tensor) -> QuantModel:
    shifts = shifts_of(model)
    return prepared(model, data, lambda segment, chunks: center(segment, shifts, chunks))


def shifted(model: QuantModel) -> list[str]:
    """Modules, with `` -> `` and the layer that gives it back."""
    names = {module: name for name, module in model.named_modules()}
    return [
        " -> ".join([names[shift.module], *(names[layer] for layer, _ in shift.readers)])
        for shift in shifts_of(model)
    ]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_float_model_stays(structure: str) -> None:
    model, data = quantized(structure), images_of(MODELS[structure].size, 4)
    with torch.no_grad(), full_precision():
        before = model(data)
        torch.testing.assert_close(centered(model, data)(data), before, rtol=1e-3, atol=1e-3)


def test_what_is_centered() -> None:
    assert shifted(convert_to_qat(float_model("token"), W4A4)) == [
        *(
            f"{block}.{norm} -> {block}.{layer}"
            for block in ("blocks.0", "blocks.1")
            for norm, layer in (("norm1", "attn.qkv"), ("norm2", "mlp.fc1"))
        ),
        "norm -> head",
        *(
            f"blocks.{i}.attn.qkv{back}"
            for i in (0, 1)
            for back in ("", f" -> blocks.{i}.attn.proj")
        ),
    ]


def test_what_has_no_bias_or_turns_with_the_position_is_not() -> None:
    no_bias = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=1, qkv_bias=False)
    found = shifted(convert_to_qat(no_bias, W4A4))
    assert found == ["blocks.0.norm2 -> blocks.0.mlp.fc1", "norm -> head"]
    for name in ("eva02_tiny_patch14_224", "vit_small_patch16_dinov3"):  # rotary embeddings
        size = {"eva02_tiny_patch14_224": 28}.get(name, 32)
        rope = timm.create_model(name, img_size=size, depth=1, num_classes=2)
        assert not [one for one in shifted(convert_to_qat(rope, W4A4)) if ".attn." in one[:13]]


def test_keys_values_and_nothing_of_queries_is_taken_off() -> None:
    model = convert_to_qat(float_model("token"), W4A4)
    for shift in shifts_of(model):
        if not isinstance(shift.module, QuantNorm):
            places = 64 if shift.readers else 32
            assert shift.places.flatten().tolist() == list(range(places, places + 32))


@pytest.mark.parametrize("kind", ["keys", "values", "norms"])
def test_what_all_tokens_have_in_common_costs_no_codes(kind: str) -> None:
    """Fails where nothing is centered: a mean of 50 deviations takes all codes of 4 bits.

    Three quarters of a norm's go: its bias is bounded.
    """
    teacher, data = float_model("token"), images(16)
    with torch.no_grad():
        for block in teacher.blocks:
            if kind == "norms":
                block.norm2.bias += 50
                block.mlp.fc1.bias -= 50 * block.mlp.fc1.weight.sum(1)
            else:
                first = {"keys": 32, "values": 64}[kind]
                block.attn.qkv.bias[first : first + 32] += 50
                if kind == "values":
                    block.attn.proj.bias -= 50 * block.attn.proj.weight.sum(1)
    # With a rotation a norm's own bias is folded anyway.
    schemes = {"qkv": "4", "norm": "4", "residual": "power-of-two"}
    noise = {
        on: decibels_of(teacher, data, schemes, Calibration(centering=on)) for on in (False, True)
    }
    assert noise[True] > noise[False] + 3, noise


def test_no_position_is_far_from_the_center() -> None:
    """The mean of nine tokens like (0, 0) and a class token at (10, 0) is (1, 0)."""
    means = torch.zeros(10, 2, dtype=torch.float64)
    means[0, 0] = 10
    sizes = means.square().sum(1) + 1
    found = _center(means, sizes)
    torch.testing.assert_close(found, torch.tensor([5.0, 0.0]).double(), atol=0.1, rtol=0)
    sizes[0] += 80  # what spreads more is to be nearer
    assert _center(means, sizes)[0] > 8


def test_the_center_of_what_hardly_differs_fits_a_norms_bias() -> None:
    """Fails unbounded: an op's bias is less than 512 steps, which are 8 bits of what is left."""
    teacher, data = float_model("token"), images(16)
    with torch.no_grad():
        teacher.cls_token += 40 * torch.randn(32)
    for spec in (W4A4, QuantSpec.preset("w8a8")):
        model = convert_to_qat(teacher, spec)
        calibrate(model, data, Calibration(centering=True))
        bias = model.get_submodule("norm").bias
        steps = bias.abs().max() / model.get_submodule("norm").quantizer.step
        assert 200 < steps < 512
        with torch.no_grad():
            assert torch.equal(model.eval()(data), convert_to_integer(model)(data))


def test_one_position_is_its_own_center() -> None:
    mean = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    assert torch.equal(_center(mean, mean.square().sum(1)), mean[0])


def test_shared_keys_and_values_stay() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vit = float_model("token")

        def forward(self, x: Tensor) -> Tensor:
            vit = self.vit
            x = vit._pos_embed(vit.patch_embed(x))
            qkv = vit.blocks[0].attn.qkv(vit.norm(x))
            q, k, _ = qkv.reshape(x.shape[0], -1, 3, 2, 16).permute(2, 0, 3, 1, 4).unbind(0)
            heads = (q @ k.mT * 0.25).softmax(-1) @ k
            x = x + vit.blocks[0].attn.proj(heads.transpose(1, 2).flatten(2))
            return vit.head(x[:, 0])

    model = convert_to_qat(Shared().eval(), W4A4, size=(1, 16, 12))
    assert [one for one in shifted(model) if one.startswith("vit.blocks")] == []
