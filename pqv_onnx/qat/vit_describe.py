"""timm's Vision Transformers: their geometry, and what of them is not supported."""

from __future__ import annotations

from typing import Any

from timm.layers import Attention, PatchEmbed
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import Block
from torch import nn

from pqv_onnx.qat.describe import architecture, check_eps, check_mlp, check_norm, require
from pqv_onnx.qat.geometry import VitConfig


def describe_vit(model: nn.Module) -> VitConfig:
    """Read the geometry of a timm VisionTransformer or VisionTransformerDistilled.

    Raises:
        PqvError: the model has a feature that is not supported.
    """
    m: Any = model
    _check_model(m)
    for index, block in enumerate(m.blocks):
        _check_block(f"blocks.{index}", block)
    first = m.blocks[0]
    norm = m.norm if isinstance(m.norm, nn.LayerNorm) else m.fc_norm
    check_eps(m, norm.eps)
    return VitConfig(
        architecture=architecture(m, "vision_transformer"),
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
    require("embed_layer", type(patch) is PatchEmbed, type(patch).__name__, "PatchEmbed")
    require("embed_norm_layer", isinstance(patch.norm, nn.Identity), patch.norm, None)
    require("dynamic_img_size", not m.dynamic_img_size, True, False)
    require("dynamic_img_pad", not patch.dynamic_img_pad, True, False)
    require("pre_norm", isinstance(m.norm_pre, nn.Identity), True, False)
    require("pos_embed", m.pos_embed is not None, "none", "learn")
    require("global_pool", m.global_pool in ("token", "avg"), m.global_pool, "token or avg")
    require("pool_include_prefix", not m.pool_include_prefix, True, False)
    norms = [norm for norm in (m.norm, m.fc_norm) if isinstance(norm, nn.LayerNorm)]
    require("final_norm", len(norms) == 1, f"{len(norms)} final LayerNorms", 1)
    require("fc_norm", not distilled or norms[0] is m.norm, True, False)
    require("reg_tokens", not distilled or not m.num_reg_tokens, m.num_reg_tokens, 0)
    require("num_classes", isinstance(m.head, nn.Linear), m.num_classes, "1 or more")
    require("depth", len(m.blocks) > 0, 0, "1 or more")


def _check_block(path: str, block: Any) -> None:
    require(path, type(block) is Block, type(block).__name__, "Block")
    for name in ("norm1", "norm2"):
        check_norm(f"{path}.{name}", getattr(block, name))
    attn = block.attn
    require(f"{path}.attn", type(attn) is Attention, type(attn).__name__, "Attention")
    require(f"{path}.attn.q_norm (qk_norm)", isinstance(attn.q_norm, nn.Identity), True, False)
    require(f"{path}.attn.norm (scale_attn_norm)", isinstance(attn.norm, nn.Identity), True, False)
    require(f"{path}.attn.gate", attn.gate is None, True, None)
    check_mlp(f"{path}.mlp", block.mlp)
