"""Swin: what is read from timm's model, what is refused, what is trained."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import SwinConfig, convert_to_qat
from pqv_onnx.qat.convert import describe, load_float_weights
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images, qat_model

W4A4 = QuantSpec.preset("w4a4")


def test_names_of_timm() -> None:
    geometry = describe(timm.create_model("swin_tiny_patch4_window7_224"))
    assert isinstance(geometry, SwinConfig)
    assert geometry == SwinConfig(
        architecture="swin_tiny_patch4_window7_224",
        img_size=(224, 224),
        patch_size=(4, 4),
        in_chans=3,
        num_classes=1000,
        embed_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=(7, 7),
    )
    assert [stage.grid for stage in geometry.stages] == [(56, 56), (28, 28), (14, 14), (7, 7)]
    assert [stage.shift(1) for stage in geometry.stages] == [(3, 3), (3, 3), (3, 3), (0, 0)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"always_partition": True}, r"layers.1.blocks.1.shift_size \(always_partition\)"),
        ({"always_partition": True, "window_size": 8}, "window_size is not supported"),
        ({"window_size": ((4, 3), (2, 3))}, "layers.1.blocks.0.window_size is not supported"),
        ({"window_size": 4}, r"stage 0 has a grid of \(8, 6\) patches, expected a multiple of win"),
        ({"img_size": (16, 20)}, r"stage 0 has a grid of \(8, 10\) patches, expected a multiple"),
        ({"img_size": (14, 12), "window_size": 7}, r"grid of \(7, 6\) patches, expected even"),
        ({"strict_img_size": False}, "dynamic_img_size is not supported"),
        ({"global_pool": "max"}, "global_pool is not supported: found max, expected avg"),
        ({"num_classes": 0}, "num_classes is not supported"),
        ({"head_dim": 8}, r"layers.0.blocks.0.attn \(dim, num_heads, head_dim"),
        ({"mlp_ratio": (4, 2)}, "layers.1.blocks.0.mlp_ratio is not supported: found 128, exp"),
        ({"norm_layer": timm.layers.RmsNorm}, "patch_embed.norm is not supported: found RmsNorm"),
    ],
)
def test_unsupported_features_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PqvError, match=sentence):
        convert_to_qat(float_model("swin", **changes), W4A4)


def test_other_swins_are_refused() -> None:
    class Another(SwinTransformer):
        pass

    with pytest.raises(PqvError, match="model is a Another, expected a timm VisionTransformer"):
        describe(Another(img_size=28, window_size=7, depths=(1,), num_heads=(2,), embed_dim=8))


def test_weights_must_match_one_to_one() -> None:
    model = qat_model("swin")
    state = float_model("swin").state_dict()
    table = "layers.1.blocks.0.attn.relative_position_bias_table"
    missing = {key: value for key, value in state.items() if key != table}
    with pytest.raises(PqvError, match=f"missing {table}"):
        load_float_weights(model, missing)
    with pytest.raises(PqvError, match="no place in the quantized model for layers.0.downsample"):
        load_float_weights(model, state | {"layers.0.downsample.norm.bias": torch.ones(1)})
    with pytest.raises(PqvError, match=r"has shape \[49, 4\], expected \[35, 4\] for layers.1"):
        load_float_weights(model, state | {table: torch.zeros(49, 4)})


def test_every_parameter_is_trained() -> None:
    model = qat_model("swin").train()
    nn.functional.cross_entropy(model(images(8)), torch.arange(8) % 7).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    table = model.layers[0].blocks[1].attn.relative_position_bias_table
    assert table.grad.abs().max() > 0


def test_bias_has_the_ops_fraction_bits() -> None:
    attn = qat_model("swin").layers[0].blocks[0].attn
    codes = torch.from_numpy(attn.softmax.bias_codes(attn.bias(), attn.logit_unit))
    unit = attn.softmax.scale(attn.logit_unit)[1] / 2**23
    table = attn.relative_position_bias_table[attn.relative_position_index].permute(2, 0, 1)
    assert (codes * unit - table / torch.log(torch.tensor(2.0))).abs().max() <= 0.51 * unit
