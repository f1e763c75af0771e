"""Small float models, one per feature of timm's models that is supported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.build import randomize
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.noise import decibels
from pqv_onnx.spec import QuantSpec

VARIANTS: dict[str, dict[str, Any]] = {
    "token": {},
    "distilled": {},
    "registers": {"reg_tokens": 2, "no_embed_class": True, "init_values": 0.1},
    "average": {"global_pool": "avg"},
    "average_after_norm": {"global_pool": "avg", "fc_norm": False},
    "average_without_class_token": {"global_pool": "avg", "class_token": False},
    "token_fc_norm": {"fc_norm": True},
    "without_bias": {"qkv_bias": False, "proj_bias": False},
    "swin": {"depths": (2, 2), "num_heads": (2, 4)},
    "swin_one_axis": {"depths": (2,), "num_heads": (2,), "window_size": (4, 6), "qkv_bias": False},
}
"""Windows of the first Swin are shifted along both axes, those of the second along one."""
CLASSES = 7
NO_CHANGES: Mapping[str, str] = {}
NO_BITS: Mapping[str, int] = {}
PLAIN = {"attention": "uniform", "gelu": "symmetric", "residual": "per-tensor"}
MIXTURES = [
    ("w4a4", {"attention": "uniform"}),
    ("w4a4", {"gelu": "symmetric"}),
    ("w4a4", {"residual": "per-tensor"}),
    ("w4a4", PLAIN),
    ("w8a8", {"attention": "log2"}),
    ("w8a8", PLAIN),
]
"""Presets with other schemes for some kinds of tensor."""


def float_model(variant: str = "token", **changes: Any) -> nn.Module:
    """A model of width 32 with two blocks on 16 x 12 grey images, the same at each call.

    Swin variants have 8 x 6 patches, and two blocks in each stage.
    """
    torch.manual_seed(3)
    if variant.startswith("swin"):
        return _swin(**{**VARIANTS[variant], **changes})
    kind = VisionTransformerDistilled if variant == "distilled" else VisionTransformer
    sizes = {"img_size": (16, 12), "patch_size": 4, "in_chans": 1, "num_classes": CLASSES}
    width = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    model: nn.Module = kind(**{**sizes, **width, **VARIANTS[variant], **changes})
    randomize(model)
    return model.eval()


def _swin(**changes: Any) -> nn.Module:
    sizes = {"img_size": (16, 12), "patch_size": 2, "in_chans": 1, "num_classes": CLASSES}
    model: nn.Module = SwinTransformer(
        **{**sizes, "embed_dim": 32, "window_size": (4, 3), **changes}
    )
    randomize(model)
    return model.eval()


def images(count: int, seed: int = 0) -> Tensor:
    """Normalised images for ``float_model``."""
    return torch.randn(count, 1, 16, 12, generator=torch.Generator().manual_seed(seed))


def qat_model(
    variant: str = "token",
    precision: str = "w4a4",
    schemes: Mapping[str, str] = NO_CHANGES,
    weight_bits: Mapping[str, int] = NO_BITS,
) -> Any:
    """A calibrated fake-quantized model in evaluation mode."""
    spec = QuantSpec.preset(precision).with_schemes(schemes)
    spec = replace(spec, weight_bits=weight_bits)
    model = convert_to_qat(float_model(variant), spec)
    calibrate(model, images(32))
    return model.eval()


@torch.no_grad()
def prepared(
    model: QuantModel, data: Tensor, prepare: Callable[[Segment, list[Tensor]], None]
) -> Any:
    """The model, each segment prepared with what the float model has in front of it."""
    chunks = list(data.split(8))
    for segment in model.segments():
        prepare(segment, chunks)
        with full_precision():
            chunks = [segment(chunk) for chunk in chunks]
    return model


@torch.no_grad()
def decibels_of(
    teacher: nn.Module, data: Tensor, schemes: Mapping[str, str], options: Calibration
) -> float:
    """SQNR of the logits of W8A8 with other schemes."""
    model = convert_to_qat(teacher, QuantSpec.preset("w8a8").with_schemes(schemes))
    calibrate(model, data, options)
    wanted = teacher(data)
    error = (model.eval()(data) - wanted).square().sum().item()
    return decibels(wanted.square().sum().item(), error)


@torch.no_grad()
def check_conversion(model: nn.Module) -> QuantModel:
    """A float model to 4 bits: near the float model, and integers with equal bits."""
    quantized = convert_to_qat(model, QuantSpec.preset("w4a4"))
    shape = (quantized.config.backbone.in_chans, *quantized.config.backbone.img_size)
    data = torch.randn(16, *shape, generator=torch.Generator().manual_seed(0))
    calibrate(quantized, data)
    integer, wanted, found = convert_to_integer(quantized), model(data), quantized.eval()(data)
    assert torch.equal(integer(data), found)
    assert (found - wanted).square().mean() < 0.3 * wanted.var()
    return quantized
