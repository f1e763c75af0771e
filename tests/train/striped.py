"""A tiny model known to timm, and folders of striped images: what ``--import`` is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

from pqv_onnx.runtime.preprocess import ModelInput

NAME = "vit_stripes_patch8_32"
DISTILLED = "deit_stripes_distilled_patch8_32"
CFG = {
    "num_classes": 2,
    "input_size": (3, 32, 32),
    "mean": (0.5, 0.4, 0.3),
    "std": (0.5, 0.5, 0.6),
    "interpolation": "bicubic",
    "crop_pct": 1.0,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
}
SIZES = {
    "img_size": 32, "patch_size": 8, "num_classes": 2, "embed_dim": 32, "depth": 2, "num_heads": 2
}  # fmt: skip

# Of images that are cropped, too, and whose channels differ.
PLAIN = ModelInput(
    CFG["mean"], CFG["std"], 0.9, CFG["interpolation"], channels=3, height=32, width=32
)

default_cfgs = generate_default_cfgs({NAME: CFG, DISTILLED: CFG})


@register_model
def vit_stripes_patch8_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    return build_model_with_cfg(VisionTransformer, NAME, pretrained, **{**SIZES, **kwargs})


@register_model
def deit_stripes_distilled_patch8_32(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    kind = VisionTransformerDistilled
    return build_model_with_cfg(kind, DISTILLED, pretrained, **{**SIZES, **kwargs})


def make_folders(root: Path, images: int = 8) -> Path:
    """``root/{train,validation}/{across,down}/N.png``, 32 x 32: stripes in two directions."""
    generator = np.random.default_rng(0)
    for split in ("train", "validation"):
        for label, name in enumerate(("across", "down")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(images):
                wave = np.mgrid[:32, :32][label] * generator.uniform(0.4, 0.6)
                grey = 127 + 90 * np.sin(wave + generator.uniform(0, 6))
                pixels = grey[..., None] + generator.normal(0, 10, (32, 32, 3))
                picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                picture.save(folder / f"{index}.png")
    return root
