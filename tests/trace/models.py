"""Small models, one of each structure that the kinds of nodes were found in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import timm
import torch
from timm.layers import GatedMlp
from timm.models.hiera import Hiera
from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock, SpatialGatingBlock
from torch import Tensor, nn

from pqv_onnx.trace import Graph, normalise, record

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Small:
    """A timm model made small.

    Attributes:
        name: in timm; or the class, where timm's function of the name fixes sizes.
        kwargs: what makes it small.
        size: of its images.
    """

    name: str | type[nn.Module]
    kwargs: dict[str, Any] = field(default_factory=dict)
    size: Size = (3, 32, 32)

    def make(self, device: str = "cpu") -> nn.Module:
        torch.manual_seed(0)
        with torch.device(device):
            named = isinstance(self.name, str)
            make: Any = partial(timm.create_model, self.name) if named else self.name
            model: nn.Module = make(num_classes=5, **self.kwargs).eval()
        if device != "meta":
            randomize(model)
        return model

    def graph(self) -> Graph:
        return normalise(record(self.make("meta"), self.size))


def _vit(name: str, **kwargs: Any) -> Small:
    sizes = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2)
    return Small(name, sizes | kwargs)


def _swin(name: str, **kwargs: Any) -> Small:
    sizes = dict(img_size=64, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2))
    return Small(name, sizes | kwargs, (3, 64, 64))


def _naflex(name: str, **kwargs: Any) -> Small:
    sizes = dict(patch_size=8, embed_dim=24, depth=2, num_heads=2)
    return Small(name, sizes | kwargs)


def _mixer(**kwargs: Any) -> Small:
    sizes = dict(img_size=32, patch_size=8, embed_dim=24, num_blocks=2)
    return Small(MlpMixer, sizes | kwargs)


MODELS = {
    "vit": _vit("vit_tiny_patch16_224"),
    "deit_distilled": _vit("deit_tiny_distilled_patch16_224"),
    "deit3": _vit("deit3_small_patch16_224"),
    "registers": _vit("vit_medium_patch16_reg4_gap_256"),
    "parallel": _vit("vit_small_patch16_18x2_224", init_values=0.1),
    "parallel_mlp": _vit("vit_base_patch16_xp_224"),
    "clip": _vit("vit_base_patch32_clip_quickgelu_224"),
    "siglip": _vit("vit_base_patch16_siglip_224"),
    "relative_bias": _vit("vit_relpos_small_patch16_rpn_224"),
    "beit": _vit("beit_base_patch16_224"),
    "beitv2": _vit("beitv2_base_patch16_224"),
    "eva02": _vit("eva02_tiny_patch14_224"),
    "eva02_clip": _vit("eva02_base_patch16_clip_224"),
    "rope_mixed": _vit("vit_small_patch16_rope_mixed_224"),
    "dinov3": _vit("vit_small_patch16_dinov3"),
    "dinov3_swiglu": _vit("vit_small_plus_patch16_dinov3"),
    "swin": _swin("swin_tiny_patch4_window7_224"),
    "swinv2": _swin("swinv2_tiny_window8_256"),
    "swinv2_cr": _swin("swinv2_cr_tiny_224"),
    "naflex": _naflex("naflexvit_base_patch16_gap"),
    "naflex_map": _naflex("naflexvit_base_patch16_siglip"),
    "resmlp": _mixer(
        mlp_ratio=4, block_layer=partial(ResBlock, init_values=0.5), norm_layer=Affine
    ),
    "differential": _vit("vit_dlittle_patch16_reg1_gap_256"),
    "mixer": _mixer(),
    "gmlp": _mixer(mlp_ratio=2, block_layer=SpatialGatingBlock, mlp_layer=GatedMlp),
    "hiera": Small(
        Hiera,
        dict(
            img_size=(32, 32),
            embed_dim=16,
            num_heads=2,
            stages=(1, 1, 2),
            q_pool=2,
            mask_unit_size=(4, 4),
            mask_unit_attn=(True, False, False),
        ),
    ),
    "aimv2": Small(
        "aimv2_large_patch14_224",
        dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2),
    ),
}
"""By what is special about them."""


@cache
def graph(structure: str) -> Graph:
    """The graph of one of ``MODELS``, made once."""
    return MODELS[structure].graph()


@torch.no_grad()
def randomize(model: nn.Module) -> None:
    """Weights with which every part of a model changes its result; seeded."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        noise = torch.randn(parameter.shape, generator=generator)
        mean = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        parameter.copy_(mean + noise * (0.3 if parameter.ndim == 1 else fan_in**-0.5))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def images(size: Size, count: int = 2) -> Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(2))
