"""What the readers of timm models share: refusals with one sentence, checks of common parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.layers import Mlp
from torch import nn

from pqv_onnx.errors import PqvError


def require(attribute: str, holds: bool, found: object, expected: object) -> None:
    """Raise PqvError naming an unsupported ``attribute`` of the model unless ``holds``."""
    if not holds:
        raise PqvError(f"model's {attribute} is not supported: found {found}, expected {expected}")


def check_norm(path: str, norm: nn.Module) -> None:
    """Refuse all but LayerNorms with weight and bias."""
    affine = isinstance(norm, nn.LayerNorm) and norm.bias is not None
    require(path, affine, type(norm).__name__, "LayerNorm with weight and bias")


def check_mlp(path: str, mlp: Any) -> None:
    """Refuse all but two linear layers with an exact GELU between them."""
    require(path, type(mlp) is Mlp, type(mlp).__name__, "Mlp")
    require(f"{path}.norm (scale_mlp_norm)", isinstance(mlp.norm, nn.Identity), True, False)
    gelu = isinstance(mlp.act, nn.GELU) and mlp.act.approximate == "none"
    require(f"{path}.act", gelu, mlp.act, "GELU(approximate='none')")


def check_eps(model: nn.Module, eps: float) -> None:
    """Refuse LayerNorms with different epsilons."""
    same = all(norm.eps == eps for norm in model.modules() if isinstance(norm, nn.LayerNorm))
    require("norm_layer", same, "LayerNorms with different epsilons", "one")


def pretrained_cfg(model: nn.Module) -> Mapping[str, Any]:
    """What timm knows of the model."""
    cfg = getattr(model, "pretrained_cfg", None)
    return cfg if isinstance(cfg, Mapping) else {}


def architecture(model: nn.Module, family: str) -> str:
    """The model's name in timm, else that of its family."""
    return str(pretrained_cfg(model).get("architecture") or family)
