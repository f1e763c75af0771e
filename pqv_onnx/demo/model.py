"""Small Vision Transformers for grey images, and the demo's: ``vit_digits_patch8_32``."""

from __future__ import annotations

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer

from pqv_onnx.demo.data import CLASSES, IMAGE_SIZE, MEAN, STD

MODEL_NAME = "vit_digits_patch8_32"


def grey_cfgs(name: str, image_size: int, mean: float, std: float) -> Any:
    """timm's ``default_cfgs`` of a model of square grey digits, all of which is seen."""
    cfg = {
        "num_classes": CLASSES,
        "input_size": (1, image_size, image_size),
        "mean": (mean,),
        "std": (std,),
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    return generate_default_cfgs({name: cfg})


def grey_vit(
    name: str, image_size: int, embed_dim: int, pretrained: bool, kwargs: dict[str, Any]
) -> VisionTransformer:
    """A ViT with 8 x 8 patches of grey images, 4 blocks and 4 heads; ``kwargs`` go to timm."""
    architecture = {
        "img_size": image_size,
        "patch_size": 8,
        "in_chans": 1,
        "num_classes": CLASSES,
        "embed_dim": embed_dim,
        "depth": 4,
        "num_heads": 4,
    }
    return build_model_with_cfg(VisionTransformer, name, pretrained, **{**architecture, **kwargs})


default_cfgs = grey_cfgs(MODEL_NAME, IMAGE_SIZE, MEAN, STD)


@register_model
def vit_digits_patch8_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT of 32 x 32 images: 4 blocks of width 128, 0.8 M parameters."""
    return grey_vit(MODEL_NAME, IMAGE_SIZE, 128, pretrained, kwargs)
