"""timm's Swin Transformers: their geometry, and what of them is not supported."""

from __future__ import annotations

from typing import Any

from timm.layers import PatchEmbed
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock, WindowAttention
from torch import nn

from pqv_onnx.qat.describe import architecture, check_eps, check_mlp, check_norm, require
from pqv_onnx.qat.geometry import SwinConfig, SwinStageConfig


def describe_swin(model: nn.Module) -> SwinConfig:
    """Read the geometry of a timm SwinTransformer.

    Raises:
        PqvError: the model has a feature that is not supported.
    """
    m: Any = model
    _check_model(m)
    first = m.layers[0].blocks[0]
    check_eps(m, m.norm.eps)
    swin = SwinConfig(
        architecture=architecture(m, "swin_transformer"),
        img_size=tuple(m.patch_embed.img_size),
        patch_size=tuple(m.patch_embed.patch_size),
        in_chans=m.in_chans,
        num_classes=m.num_classes,
        embed_dim=m.patch_embed.proj.out_channels,
        depths=tuple(len(stage.blocks) for stage in m.layers),
        num_heads=tuple(stage.blocks[0].attn.num_heads for stage in m.layers),
        # The first stage has the largest grid; only a later one may be smaller than a window.
        window_size=tuple(first.attn.window_size),
        mlp_ratio=float(first.mlp_ratio),
        qkv_bias=first.attn.qkv.bias is not None,
        norm_eps=m.norm.eps,
    )
    for index, (stage, expected) in enumerate(zip(m.layers, swin.stages, strict=True)):
        _check_stage(f"layers.{index}", stage, expected)
    return swin


def _check_model(m: Any) -> None:
    patch = m.patch_embed
    require("embed_layer", type(patch) is PatchEmbed, type(patch).__name__, "PatchEmbed")
    check_norm("patch_embed.norm", patch.norm)
    require("dynamic_img_size", not m.dynamic_img_size, True, False)
    require("dynamic_img_pad", not patch.dynamic_img_pad, True, False)
    pool = m.head.global_pool.pool_type
    require("global_pool", pool == "avg", pool, "avg")
    require("num_classes", isinstance(m.head.fc, nn.Linear), m.num_classes, "1 or more")
    for index, stage in enumerate(m.layers):
        require(f"layers.{index}.depth", len(stage.blocks) > 0, 0, "1 or more")
    check_norm("norm", m.norm)


def _check_stage(path: str, stage: Any, expected: SwinStageConfig) -> None:
    if path != "layers.0":
        merging = stage.downsample
        name = f"{path}.downsample"
        require(name, type(merging) is PatchMerging, type(merging).__name__, "PatchMerging")
        check_norm(f"{name}.norm", merging.norm)
    for index, block in enumerate(stage.blocks):
        _check_block(f"{path}.blocks.{index}", block, expected, expected.shift(index))


def _check_block(path: str, block: Any, expected: SwinStageConfig, shift: tuple[int, int]) -> None:
    require(path, type(block) is SwinTransformerBlock, type(block).__name__, "SwinTransformerBlock")
    check_norm(f"{path}.norm1", block.norm1)
    check_norm(f"{path}.norm2", block.norm2)
    attn = block.attn
    require(f"{path}.attn", type(attn) is WindowAttention, type(attn).__name__, "WindowAttention")
    found = (attn.dim, attn.num_heads, attn.proj.in_features)
    wanted = (expected.dim, expected.num_heads, expected.dim)
    require(f"{path}.attn (dim, num_heads, head_dim * num_heads)", found == wanted, found, wanted)
    window = tuple(block.window_size)
    require(f"{path}.window_size", window == expected.window, window, expected.window)
    found_shift = tuple(block.shift_size)
    require(f"{path}.shift_size (always_partition)", found_shift == shift, found_shift, shift)
    check_mlp(f"{path}.mlp", block.mlp)
    hidden = block.mlp.fc1.out_features
    require(f"{path}.mlp_ratio", hidden == expected.mlp_dim, hidden, expected.mlp_dim)
