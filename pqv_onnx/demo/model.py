"""The demo's model, known to timm as ``vit_digits_patch8_32``."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer

from pqv_onnx.demo.data import CLASSES, IMAGE_SIZE, MEAN, STD

MODEL_NAME = "vit_digits_patch8_32"

default_cfgs = generate_default_cfgs(
    {
        MODEL_NAME: {
            "num_classes": CLASSES,
            "input_size": (1, IMAGE_SIZE, IMAGE_SIZE),
            "mean": (MEAN,),
            "std": (STD,),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        }
    }
)


@register_model
def vit_digits_patch8_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT with 8 x 8 patches on 32 x 32 grey images: 4 blocks of width 128, 0.8 M parameters."""
    architecture = {
        "img_size": IMAGE_SIZE,
        "patch_size": 8,
        "in_chans": 1,
        "num_classes": CLASSES,
        "embed_dim": 128,
        "depth": 4,
        "num_heads": 4,
    }
    return build_model_with_cfg(
        VisionTransformer, MODEL_NAME, pretrained, **{**architecture, **kwargs}
    )
