"""timm's VisionTransformer to the fake-quantized one, by a strict mapping of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from timm.layers import Attention, Mlp, PatchEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.config import ModelConfig, Preprocessing, VitConfig
from pqv_onnx.qat.vit import QuantVisionTransformer
from pqv_onnx.spec import QuantSpec

_QUANTIZATION_STATE = ("log_step", "exponent")


def convert_to_qat(
    model: nn.Module,
    spec: QuantSpec,
    preprocessing: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
) -> QuantVisionTransformer:
    """Build the fake-quantized form of a timm Vision Transformer.

    Dropout and stochastic depth are left out. Of a distilled DeiT the two heads become one,
    whose logits are the mean of theirs.

    Args:
        model: a timm ``VisionTransformer`` or ``VisionTransformerDistilled``.
        spec: the quantization scheme.
        preprocessing: how to make the input; by default what timm says about the model.
        labels: a name for each class.

    Returns:
        An uncalibrated model with copies of the weights; see ``calibrate``.

    Raises:
        PqvError: the model has a feature that is not supported, or a weight has no counterpart.
    """
    vit = describe(model)
    if preprocessing is None:
        preprocessing = _preprocessing(model, vit.in_chans)
    quantized = QuantVisionTransformer(ModelConfig(vit, spec, preprocessing, labels))
    load_float_weights(quantized, model.state_dict())
    return quantized


def load_float_weights(model: QuantVisionTransformer, state: Mapping[str, Tensor]) -> None:
    """Copy a float state dict with timm's keys into ``model``, each key exactly once.

    Raises:
        PqvError: a key is missing, left over, or has another shape than the model's.
    """
    targets = {
        name: parameter
        for name, parameter in model.named_parameters()
        if not name.endswith(_QUANTIZATION_STATE)
    }
    sources = {name: _source(model.config.vit, name, state) for name in targets}
    needed = {key for keys, _ in sources.values() for key in keys}
    if missing := sorted(needed - set(state)):
        raise PqvError(f"weights: missing {', '.join(missing)}")
    if extra := sorted(set(state) - needed):
        raise PqvError(f"weights: no place in the quantized model for {', '.join(extra)}")
    with torch.no_grad():
        for name, (keys, combine) in sources.items():
            value = combine(*(state[key] for key in keys))
            if value.shape != targets[name].shape:
                raise PqvError(
                    f"weights: {', '.join(keys)} has shape {list(state[keys[0]].shape)}, "
                    f"expected {list(targets[name].shape)} for {name}"
                )
            targets[name].copy_(value)


def _source(
    vit: VitConfig, name: str, state: Mapping[str, Tensor]
) -> tuple[tuple[str, ...], Callable[..., Tensor]]:
    """The float keys of one parameter, and how their values become its value."""
    if name == "patch_embed.proj.weight":
        return (name,), lambda weight: weight.flatten(1)
    if vit.dist_token and name.startswith("head."):
        keys = (name, name.replace("head.", "head_dist."))
        if name == "head.weight":
            return keys, lambda head, dist: torch.cat((head, dist), 1) / 2
        return keys, lambda head, dist: (head + dist) / 2
    if name.startswith("norm.") and "fc_norm.weight" in state:
        return (f"fc_{name}",), _same
    return (name,), _same


def _same(value: Tensor) -> Tensor:
    return value


def describe(model: nn.Module) -> VitConfig:
    """Read the geometry of a timm Vision Transformer.

    Raises:
        PqvError: the model is of another class or has a feature that is not supported.
    """
    if type(model) not in (VisionTransformer, VisionTransformerDistilled):
        raise PqvError(
            f"model is a {type(model).__name__}, "
            "expected a timm VisionTransformer or VisionTransformerDistilled"
        )
    m: Any = model
    _check_model(m)
    for index, block in enumerate(m.blocks):
        _check_block(f"blocks.{index}", block)
    first = m.blocks[0]
    norm = m.norm if isinstance(m.norm, nn.LayerNorm) else m.fc_norm
    _require("norm_layer", _same_eps(m, norm.eps), "LayerNorms with different epsilons", "one")
    return VitConfig(
        architecture=_pretrained_cfg(m).get("architecture") or "vision_transformer",
        img_size=tuple(m.patch_embed.img_size),
        patch_size=tuple(m.patch_embed.patch_size),
        in_chans=m.in_chans,
        num_classes=m.num_classes,
        embed_dim=m.embed_dim,
        depth=len(m.blocks),
        num_heads=first.attn.num_heads,
        mlp_dim=first.mlp.fc1.out_features,
        qkv_bias=first.attn.qkv.bias is not None,
        proj_bias=first.attn.proj.bias is not None,
        layer_scale=not isinstance(first.ls1, nn.Identity),
        class_token=m.cls_token is not None,
        dist_token=isinstance(m, VisionTransformerDistilled),
        reg_tokens=m.num_reg_tokens,
        no_embed_class=m.no_embed_class,
        global_pool=m.global_pool,
        fc_norm=m.global_pool == "avg" and norm is m.fc_norm,
        norm_eps=norm.eps,
    )


def _check_model(m: Any) -> None:
    patch = m.patch_embed
    distilled = isinstance(m, VisionTransformerDistilled)
    _require("embed_layer", type(patch) is PatchEmbed, type(patch).__name__, "PatchEmbed")
    _require("embed_norm_layer", isinstance(patch.norm, nn.Identity), patch.norm, None)
    _require("dynamic_img_size", not m.dynamic_img_size, True, False)
    _require("dynamic_img_pad", not patch.dynamic_img_pad, True, False)
    _require("pre_norm", isinstance(m.norm_pre, nn.Identity), True, False)
    _require("pos_embed", m.pos_embed is not None, "none", "learn")
    _require("global_pool", m.global_pool in ("token", "avg"), m.global_pool, "token or avg")
    _require("pool_include_prefix", not m.pool_include_prefix, True, False)
    norms = [norm for norm in (m.norm, m.fc_norm) if isinstance(norm, nn.LayerNorm)]
    _require("final_norm", len(norms) == 1, f"{len(norms)} final LayerNorms", 1)
    _require("fc_norm", not distilled or norms[0] is m.norm, True, False)
    _require("reg_tokens", not distilled or not m.num_reg_tokens, m.num_reg_tokens, 0)
    _require("num_classes", isinstance(m.head, nn.Linear), m.num_classes, "1 or more")
    _require("depth", len(m.blocks) > 0, 0, "1 or more")


def _check_block(path: str, block: Any) -> None:
    _require(path, type(block) is Block, type(block).__name__, "Block")
    for name in ("norm1", "norm2"):
        norm = getattr(block, name)
        affine = isinstance(norm, nn.LayerNorm) and norm.bias is not None
        _require(f"{path}.{name}", affine, type(norm).__name__, "LayerNorm with weight and bias")
    attn, mlp = block.attn, block.mlp
    _require(f"{path}.attn", type(attn) is Attention, type(attn).__name__, "Attention")
    _require(f"{path}.attn.q_norm (qk_norm)", isinstance(attn.q_norm, nn.Identity), True, False)
    _require(f"{path}.attn.norm (scale_attn_norm)", isinstance(attn.norm, nn.Identity), True, False)
    _require(f"{path}.attn.gate", attn.gate is None, True, None)
    _require(f"{path}.mlp", type(mlp) is Mlp, type(mlp).__name__, "Mlp")
    _require(f"{path}.mlp.norm (scale_mlp_norm)", isinstance(mlp.norm, nn.Identity), True, False)
    gelu = isinstance(mlp.act, nn.GELU) and mlp.act.approximate == "none"
    _require(f"{path}.mlp.act", gelu, mlp.act, "GELU(approximate='none')")


def _require(attribute: str, holds: bool, found: object, expected: object) -> None:
    if not holds:
        raise PqvError(f"model's {attribute} is not supported: found {found}, expected {expected}")


def _same_eps(m: nn.Module, eps: float) -> bool:
    return all(norm.eps == eps for norm in m.modules() if isinstance(norm, nn.LayerNorm))


def _pretrained_cfg(model: nn.Module) -> Mapping[str, Any]:
    cfg = getattr(model, "pretrained_cfg", None)
    return cfg if isinstance(cfg, Mapping) else {}


def _preprocessing(model: nn.Module, in_chans: int) -> Preprocessing:
    """What timm says about the input; grey images get the colour channels' average."""
    cfg = _pretrained_cfg(model)
    mean, std = cfg.get("mean", (0.5,)), cfg.get("std", (0.5,))
    if len(mean) != in_chans:
        mean, std = ((sum(mean) / len(mean),) * in_chans, (sum(std) / len(std),) * in_chans)
    return Preprocessing(
        mean=tuple(mean),
        std=tuple(std),
        crop_pct=float(cfg.get("crop_pct") or 1.0),
        interpolation=cfg.get("interpolation") or "bicubic",
    )
