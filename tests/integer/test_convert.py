"""Fake quantization to integers: the same codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer import IntegerModel, convert_to_integer, moves
from pqv_onnx.integer.layers import OpLayer
from pqv_onnx.ops.domain import MAX_BIAS
from pqv_onnx.packing import unpack_weight
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.layers import QuantActivation
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.spec import PRESETS, QuantSpec
from tests.integer.agreement import both_codes
from tests.qat.models import (
    MIXTURES,
    NO_CHANGES,
    VARIANTS,
    float_model,
    images,
    qat_model,
)

CASES = [(variant, precision) for variant in VARIANTS for precision in PRESETS]
ALL_CASES = [(*case, NO_CHANGES) for case in CASES] + [
    (variant, *mixture) for variant in ("token", "swin") for mixture in MIXTURES
]


@pytest.mark.parametrize(("variant", "precision", "schemes"), ALL_CASES)
def test_what_is_trained_is_what_runs(
    variant: str, precision: str, schemes: Mapping[str, str]
) -> None:
    """Every code of every layer is the same, and so are the logits."""
    model, data = qat_model(variant, precision, schemes), images(48, seed=2)
    integer = convert_to_integer(model)
    for name, (trained, run) in both_codes(model, integer, data).items():
        assert torch.equal(trained, run.long()), name
    with torch.no_grad():
        assert torch.equal(model(data), integer(data))


@pytest.mark.parametrize(("variant", "precision"), CASES)
def test_nothing_but_integers_between_the_borders(variant: str, precision: str) -> None:
    integer = convert_to_integer(qat_model(variant, precision))
    for name, buffer in integer.named_buffers():
        assert name == "dequantize.scale" or not buffer.is_floating_point(), name
    assert not list(integer.parameters())
    dtypes: list[torch.dtype] = []
    for module in integer.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _m, _i, out: dtypes.append(out.dtype))
    codes = integer.quantize(images(2))
    assert integer.forward_int8(codes).dtype == torch.int32
    assert set(dtypes) <= {torch.int8, torch.uint8, torch.int32}


@pytest.mark.parametrize("variant", VARIANTS)
def test_batches_are_independent(variant: str) -> None:
    integer = convert_to_integer(qat_model(variant))
    data = images(3)
    assert torch.equal(integer(data), torch.cat([integer(image[None]) for image in data]))


@pytest.mark.parametrize("variant", ["token", "distilled", "average"])
def test_exports_with_a_dynamic_batch(variant: str) -> None:
    integer = convert_to_integer(qat_model(variant))
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(integer, (images(2),), dynamic_shapes=(batch,))
    assert torch.equal(program.module()(images(5)), integer(images(5)))


@pytest.mark.parametrize("variant", ["token", "swin"])
def test_modules_are_named_as_in_timm(variant: str) -> None:
    """But for those that only move elements."""

    def leaves(model: nn.Module) -> Iterator[str]:
        for name, module in model.named_modules():
            if not list(module.children()) and type(module).__module__ != moves.__name__:
                yield name

    integer = convert_to_integer(qat_model(variant))
    own = re.compile(r"quantize|dequantize|.*attn.(matmul|softmax|mean|attention)")
    named = {name for name in leaves(integer) if not own.fullmatch(name)}
    assert named <= set(leaves(float_model(variant)))


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
@pytest.mark.parametrize("scheme", ["grouped", "asymmetric", "symmetric"])
def test_gelu_tables_are_the_exact_gelu(precision: str, scheme: str) -> None:
    model = qat_model(precision=precision, schemes={"gelu": scheme})
    act = model.get_submodule("blocks.0.mlp.act")
    assert isinstance(act, QuantActivation)
    read, written = act.input_quantizer, act.quantizer
    inputs = (torch.arange(-128, 128) - read.zero_point) * read.step
    tables = torch.from_numpy(act.tables()).long()
    assert tables.shape == ({"grouped": 4}.get(scheme, 1), 256)
    assert (len(act.ratio.unique()) > 1) == (scheme == "grouped")
    wanted = torch.nn.functional.gelu(inputs)[:, None] / written.by_channel(act.ratio)
    codes = written.by_channel(tables.T) - written.zero_point
    lo, hi = (torch.as_tensor(bound) * written.step for bound in written.bounds)
    assert (codes * written.step - wanted.clamp(lo, hi)).abs().max() <= 0.5001 * written.step


def test_weights_have_the_bits_of_the_spec() -> None:
    integer = convert_to_integer(qat_model())
    bits = {
        name: module.op.weight_bits
        for name, module in integer.named_modules()
        if isinstance(module, OpLayer) and module.op.weight_bits
    }
    assert {name for name, count in bits.items() if count == 8} == {"patch_embed.proj", "head"}
    fc2 = integer.get_submodule("blocks.0.mlp.fc2")
    assert isinstance(fc2, OpLayer)
    k, n = (fc2.attributes[name] for name in "KN")
    weight = unpack_weight(fc2.weight.numpy(), k, n, 4)
    assert (weight.min(), weight.max()) == (-7, 7)


def test_distilled_head_is_one_matmul() -> None:
    head = convert_to_integer(qat_model("distilled")).head
    assert (head.attributes["K"], head.attributes["N"]) == (64, 7)


def test_uncalibrated_models_are_refused() -> None:
    model = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
    with pytest.raises(PqvError, match="has no positive step: calibrate the model first"):
        convert_to_integer(model)


@pytest.mark.parametrize("log_step", [1e9, -1e9])
def test_steps_out_of_range_are_refused(log_step: float) -> None:
    model = qat_model()
    model.norm.quantizer.log_step.data.fill_(log_step)
    with pytest.raises(PqvError, match="norm.quantizer has no positive step"):
        convert_to_integer(model)


def test_scales_out_of_range_are_refused() -> None:
    model = qat_model()
    residual = model.get_submodule("blocks.1.residual1")
    assert isinstance(residual, ResidualQuantizer)
    residual.set_step(model.residual.step * 1e-3)
    with pytest.raises(PqvError, match="blocks.1: a residual ratio must be in"):
        convert_to_integer(model)
    model = qat_model()
    model.head.bias.data.fill_(float(MAX_BIAS))
    with pytest.raises(PqvError, match="a matmul bias must be in"):
        convert_to_integer(model)


def test_a_norms_bias_ends_where_the_ops_does() -> None:
    """Training may take it, or its step, further than 512 steps: nothing of that is lost."""
    model, data = qat_model("token", "w8a8").eval(), images(8)
    norm = model.get_submodule("norm")
    with torch.no_grad():
        norm.bias[0], norm.bias[1] = 600 * norm.quantizer.step, -600 * norm.quantizer.step
        assert torch.equal(model(data), convert_to_integer(model)(data))
    assert norm.held_bias().detach().div(norm.quantizer.step)[:2].tolist() == pytest.approx(
        [512 - 1 / 64, -512]
    )
    (grad,) = torch.autograd.grad(norm.held_bias()[0], norm.quantizer.log_step)
    assert grad == pytest.approx(norm.held_bias()[0].item())
    with full_precision():
        assert torch.equal(norm.held_bias(), norm.bias)


def test_the_model_is_left_alone() -> None:
    model = qat_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    integer: IntegerModel = convert_to_integer(model)
    assert model.training
    assert not integer.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert integer.config == model.config


@pytest.mark.parametrize("variant", ["token", "swin"])
def test_mixed_precision_changes_no_code(variant: str) -> None:
    model, data = qat_model(variant), images(8, seed=2)
    with torch.no_grad():
        wanted = model(data)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model(data), wanted)


class Root(nn.Module):
    """Attention in the forward of the model itself, in no module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.qkv, self.proj, self.head = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.embed(image).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).unflatten(2, (3, 2, 8)).permute(2, 0, 3, 1, 4).unbind(0)
        context = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(context.transpose(1, 2).flatten(2))
        logits: torch.Tensor = self.head(x.mean(1))
        return logits


def test_attention_in_no_module_of_its_own() -> None:
    data = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = convert_to_qat(Root(), QuantSpec.preset("w8a8"), size=(3, 16, 16))
    calibrate(model, data)
    integer = convert_to_integer(model)
    assert "attention" in dict(integer.named_modules())
    assert torch.equal(integer(data), model(data))
