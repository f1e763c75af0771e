"""timm to fake quantization: strict mapping, and no loss but quantization."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import convert_to_qat
from pqv_onnx.qat.convert import describe, load_float_weights
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model, images, qat_model

W8A8 = QuantSpec.preset("w8a8")


@pytest.mark.parametrize("variant", ["token", "swin"])
def test_the_layers_that_have_a_choice_of_bits(variant: str) -> None:
    """All linear layers of timm's blocks, and the reductions between Swin's stages."""
    linears = {n for n, m in float_model(variant).named_modules() if isinstance(m, nn.Linear)}
    layers = qat_model(variant).block_layers()
    assert set(layers) == linears - {"head", "head.fc"}


def test_bits_of_single_layers() -> None:
    spec = replace(W8A8, weight_bits={"blocks.*.mlp.*": 4, "blocks.0.mlp.fc1": 8})
    model = convert_to_qat(float_model(), spec)
    chosen = {"blocks.0.mlp.fc2", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"}
    assert model.config.spec.weight_bits == dict.fromkeys(chosen, 4)
    for name, layer in model.block_layers().items():
        bits = 4 if name in chosen else 8
        assert (layer.quantizer.bits, layer.quantizer.hi) == (bits, 2 ** (bits - 1) - 1)
    with pytest.raises(PqvError, match=r"for head, the model has no such layer; .* blocks.0.attn"):
        convert_to_qat(float_model(), replace(W8A8, weight_bits={"head": 4}))


@pytest.mark.parametrize("variant", VARIANTS)
def test_full_precision_is_timms(variant: str) -> None:
    """With every rounding left out, what is left is the float model."""
    model = convert_to_qat(float_model(variant), W8A8)
    with full_precision():
        found = model(images(4))
    torch.testing.assert_close(found, float_model(variant)(images(4)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_w8a8_stays_near_float(variant: str) -> None:
    """8 bits cost a few percent of the logits' spread on random weights."""
    wanted = float_model(variant)(images(32, seed=1))
    found = qat_model(variant, "w8a8")(images(32, seed=1))
    assert (found - wanted).square().mean().sqrt() < 0.1 * wanted.std()


@pytest.mark.parametrize(
    "name", ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_tiny_patch16_224"]
)
def test_names_of_timm(name: str) -> None:
    config = convert_to_qat(timm.create_model(name), W8A8).config
    assert config.geometry.architecture == name
    assert config.geometry.num_prefix_tokens == (2 if "distilled" in name else 1)
    assert len(config.preprocessing.mean) == 3
    assert config.preprocessing.crop_pct == 0.9


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"qk_norm": True}, "qk_norm"),
        ({"scale_attn_norm": True}, "scale_attn_norm"),
        ({"scale_mlp_norm": True}, "scale_mlp_norm"),
        ({"pre_norm": True}, "pre_norm"),
        ({"pos_embed": "none"}, "pos_embed"),
        ({"global_pool": "map"}, "global_pool"),
        ({"global_pool": "max"}, "global_pool"),
        ({"dynamic_img_size": True}, "dynamic_img_size"),
        ({"final_norm": False}, "final_norm"),
        ({"num_classes": 0}, "num_classes"),
        ({"act_layer": nn.ReLU}, "mlp.act"),
        ({"pool_include_prefix": True, "global_pool": "avg"}, "pool_include_prefix"),
        ({"mlp_layer": timm.layers.SwiGLU}, "blocks.0.mlp"),
    ],
)
def test_unsupported_features_are_named(changes: dict[str, Any], attribute: str) -> None:
    with pytest.raises(PqvError, match=f"model's .*{attribute}.* is not supported: found"):
        convert_to_qat(float_model(**changes), W8A8)


def test_other_models_are_refused() -> None:
    with pytest.raises(PqvError, match="model is a Linear, expected a timm VisionTransformer"):
        describe(nn.Linear(1, 1))


def test_image_size_must_be_a_multiple_of_the_patch_size() -> None:
    with pytest.raises(PqvError, match=r"img_size is \(18, 18\), expected a multiple"):
        convert_to_qat(float_model(img_size=18), W8A8)


def test_weights_must_match_one_to_one() -> None:
    model = qat_model()
    state = float_model().state_dict()
    missing = {key: value for key, value in state.items() if key != "blocks.1.norm2.bias"}
    with pytest.raises(PqvError, match="missing blocks.1.norm2.bias"):
        load_float_weights(model, missing)
    with pytest.raises(PqvError, match="no place in the quantized model for blocks.7.gamma"):
        load_float_weights(model, state | {"blocks.7.gamma": torch.ones(1)})
    with pytest.raises(PqvError, match=r"head.weight has shape \[3, 32\], expected \[7, 32\]"):
        load_float_weights(model, state | {"head.weight": torch.ones(3, 32)})
    with pytest.raises(PqvError, match="missing head_dist.bias, head_dist.weight"):
        load_float_weights(
            qat_model("distilled"),
            {k: v for k, v in float_model("distilled").state_dict().items() if "_dist" not in k},
        )
