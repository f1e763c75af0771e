"""The model and the images under names for the command line.

`pqv calibrate --import benchmarks.accuracy.pretrained.register --dataset fashion-mnist
--model vit_small_patch14_dinov2_112 --weights build/pretrained/float.safetensors ...`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer

from benchmarks.accuracy.pretrained.data import FASHION_MNIST, FashionMnist
from pqv_onnx.train.data import register_dataset

NAME = "vit_small_patch14_dinov2_112"
default_cfgs = generate_default_cfgs(
    {
        NAME: {
            "num_classes": 10,
            "input_size": (3, 112, 112),
            "mean": IMAGENET_DEFAULT_MEAN,
            "std": IMAGENET_DEFAULT_STD,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        }
    }
)


@register_model
def vit_small_patch14_dinov2_112(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """timm's ``vit_small_patch14_dinov2`` of images of 112 x 112 pixels."""
    architecture = {
        "img_size": 112,
        "patch_size": 14,
        "embed_dim": 384,
        "depth": 12,
        "num_heads": 6,
        "init_values": 1e-5,
    }
    return build_model_with_cfg(VisionTransformer, NAME, pretrained, **{**architecture, **kwargs})


def _open(root: str | None, split: str) -> FashionMnist:
    """The command line calls the images to evaluate on ``validation``."""
    name = "test" if split == "validation" else split
    return FashionMnist(FASHION_MNIST if root is None else Path(root), name)


register_dataset("fashion-mnist", _open)
