"""timm to fake quantization: nothing is lost but what quantization costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from timm.models.vision_transformer import ParallelScalingBlock, ParallelThingsBlock, ResPostBlock
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.qat.convert import describe
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, check_conversion, float_model, images, qat_model

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
    model = convert_to_qat(timm.create_model(name), W8A8)
    backbone, preprocessing = model.config.backbone, model.config.preprocessing
    assert backbone.architecture == name
    assert (backbone.in_chans, backbone.img_size, backbone.num_classes) == (3, (224, 224), 1000)
    assert hasattr(model, "dist_token") == ("distilled" in name)
    assert len(preprocessing.mean) == 3
    assert preprocessing.crop_pct == 0.9


@pytest.mark.parametrize(
    "changes",
    [
        {"scale_attn_norm": True},
        {"scale_mlp_norm": True},
        {"pre_norm": True},
        {"pos_embed": "none"},
        {"dynamic_img_size": True},
        {"act_layer": nn.ReLU},
        {"act_layer": nn.SiLU},
        {"act_layer": nn.Tanh},
        {"pool_include_prefix": True, "global_pool": "avg"},
        {"global_pool": "map"},
        {"global_pool": "max"},
        {"final_norm": False},
        {"num_classes": 0},
        {"qk_norm": True},
        {"mlp_layer": timm.layers.SwiGLU},
        {"norm_layer": timm.layers.RmsNorm},
        {"norm_layer": timm.layers.RmsNorm, "scale_mlp_norm": True},
        {"block_fn": ParallelThingsBlock},
        {"block_fn": ParallelScalingBlock},
        {"block_fn": ResPostBlock},
        {"img_size": 18},
        {"depth": 0},
    ],
    ids=str,
)
def test_other_features(changes: dict[str, Any]) -> None:
    """What has no handler of its own: near the float model, and integers with equal bits."""
    check_conversion(float_model(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"embed_norm_layer": nn.LayerNorm}, "model: a constant beside values that are quantized"),
    ],
)
def test_unsupported_features_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PqvError, match=f"^{sentence}"):
        check_conversion(float_model(**changes))


def test_other_models_are_refused() -> None:
    with pytest.raises(PqvError, match="the model is a Linear, expected a module of timm"):
        describe(nn.Linear(1, 1))


class OfNobody(nn.Module):
    """A model that is not of timm, but says as timm does what its images are."""

    def __init__(self, late: bool) -> None:
        super().__init__()
        self.late = late
        self.pretrained_cfg = {"input_size": (1, 16, 12), "mean": (0.25,), "std": (0.5,)}
        self.embed, self.norm = nn.Conv2d(1, 8, 4, 4), nn.LayerNorm(8)
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        if self.late:
            return self.last(nn.functional.gelu(self.first(x)).mean(1))
        return self.last(nn.functional.gelu(self.first(x.mean(1))))


class EndsInGelu(OfNobody):
    """The same up to its function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        return nn.functional.gelu(self.first(x.mean(1)))


def test_a_result_has_no_zero_point() -> None:
    torch.manual_seed(0)
    model = convert_to_qat(EndsInGelu(late=False), W8A8.unrotated())
    data = torch.randn(4, 1, 16, 12)
    calibrate(model, data)
    with torch.no_grad():
        assert torch.equal(convert_to_integer(model)(data), model.eval()(data))


@pytest.mark.parametrize("late", [False, True])
def test_modules_that_are_not_of_timm(late: bool) -> None:
    """With a mean of values with and without a zero point."""
    torch.manual_seed(0)
    config = check_conversion(OfNobody(late).eval()).config
    assert config.backbone.architecture == "OfNobody"
    assert (config.backbone.img_size, config.preprocessing.mean) == ((16, 12), (0.25,))
