"""Swin: what is read from timm's model, what is refused, what is trained."""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer, WindowAttention
from torch import nn

from pqv_onnx.qat import QuantModel, convert_to_qat
from pqv_onnx.qat.convert import describe
from pqv_onnx.qat.handlers import Attention
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.spec import QuantSpec
from tests.qat.models import check_conversion, float_model, images, qat_model

W4A4 = QuantSpec.preset("w4a4")


def test_names_of_timm() -> None:
    teacher = timm.create_model("swin_tiny_patch4_window7_224")
    model = convert_to_qat(teacher, W4A4)
    backbone = model.config.backbone
    assert backbone.architecture == "swin_tiny_patch4_window7_224"
    assert (backbone.in_chans, backbone.img_size, backbone.num_classes) == (3, (224, 224), 1000)
    values = [[s.start, *(link.node for link in s.links)] for s in backbone.graph.streams]
    assert [len(stream) for stream in values] == [5, 5, 13, 5]
    quantizers = [model.handlers[node].grid.quantizer for stream in values for node in stream]
    assert all(isinstance(quantizer, ResidualQuantizer) for quantizer in quantizers)
    assert model.patch_embed.proj.weight.shape == (96, 48)
    for path, module in teacher.named_modules():
        if isinstance(module, WindowAttention):
            attention, block = attention_of(model, path), teacher.get_submodule(path[:-5])
            assert attention.node.shape[-3:] == (module.num_heads, 49, 32)
            assert (attention.bias()[1] is not None) == (block.attn_mask is not None)


@pytest.mark.parametrize(
    "changes",
    [
        {"always_partition": True},
        {"always_partition": True, "window_size": 8},
        {"window_size": ((4, 3), (2, 3))},
        {"window_size": 4},
        {"img_size": (16, 20)},
        {"strict_img_size": False},
        {"head_dim": 8},
        {"mlp_ratio": (4, 2)},
        {"num_classes": 0},
        {"norm_layer": timm.layers.RmsNorm},
        {"global_pool": "max"},
        {"img_size": (14, 12), "window_size": 7},
    ],
    ids=str,
)
def test_other_features(changes: dict[str, Any]) -> None:
    """Grids that are no multiple of the windows or odd, windows per stage, narrow heads."""
    check_conversion(float_model("swin", **changes))


def test_classes_made_of_swins_are_swins() -> None:
    class Another(SwinTransformer):
        pass

    sizes = {"img_size": 28, "window_size": 7, "depths": (1,), "num_heads": (2,), "embed_dim": 8}
    first, second = (describe(kind(**sizes)).nodes for kind in (Another, SwinTransformer))
    assert [node.kind for node in first] == [node.kind for node in second]


def attention_of(model: QuantModel, path: str) -> Attention:
    """The handler of the attention at ``path``."""
    return next(
        handler
        for node, handler in model.handlers.items()
        if isinstance(handler, Attention) and node.path == path
    )


def test_bias_and_mask_are_timms() -> None:
    teacher, model = float_model("swin"), qat_model("swin", schemes={"residual": "per-tensor"})
    for index in (0, 1):
        block = teacher.layers[0].blocks[index]
        bias, excluded = attention_of(model, f"layers.0.blocks.{index}.attn").bias()
        own = block.attn._get_rel_pos_bias() * math.log2(math.e)
        torch.testing.assert_close(bias, own)
        assert (excluded is None) == (index == 0)
        if excluded is not None:
            assert torch.equal(excluded.squeeze(), block.attn_mask != 0)


def test_every_parameter_is_trained() -> None:
    model = qat_model("swin").train()
    nn.functional.cross_entropy(model(images(8)), torch.arange(8) % 7).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    table = model.get_submodule("layers.0.blocks.1.attn.relative_position_bias_table")
    assert table.value.grad.abs().max() > 0


def test_bias_has_the_ops_fraction_bits() -> None:
    model = qat_model("swin")
    attn = attention_of(model, "layers.0.blocks.0.attn")
    bias, _ = attn.bias()
    codes = torch.from_numpy(attn.softmax.bias_codes(bias, attn.logit_unit))
    unit = attn.softmax.scale(attn.logit_unit)[1] / 2**23
    table = model.get_submodule("layers.0.blocks.0.attn.relative_position_bias_table").value
    assert (codes * unit - table / torch.log(torch.tensor(2.0))).abs().max() <= 0.51 * unit
