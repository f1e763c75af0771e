"""The integer Swin Transformer; modules are named as in timm, so ONNX nodes are, too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pqv_onnx.integer.blocks import IntegerAttention, IntegerBlock
from pqv_onnx.integer.layers import (
    Dequantize,
    LayerNorm,
    PackedMatMul,
    PackedMatMulAdd,
    PackedMatMulToInt32,
    Quantize,
    Softmax2nBias,
    WeightedMean,
)
from pqv_onnx.integer.model import IntegerModel
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.layers import to_patches
from pqv_onnx.qat.windows import Size, merge_heads, merge_patches, roll, split_heads


class IntegerWindowAttention(IntegerAttention):
    """Self-attention within windows with the residual link in its projection.

    The matmuls work token by token and so keep the image's order: tokens are rolled and cut into
    windows together with the split into heads, and put back together with it.
    """

    def __init__(
        self,
        num_heads: int,
        window: Size,
        shift: Size,
        grid: Size,
        qkv: PackedMatMul,
        softmax: Softmax2nBias,
        mean: WeightedMean,
        proj: PackedMatMulAdd,
    ) -> None:
        """Take the sizes in tokens and the ops in their order."""
        super().__init__(num_heads, qkv, softmax, mean, proj)
        self.window, self.shift, self.grid = window, shift, grid

    def split_heads(self, qkv: Tensor) -> Tensor:
        """[B, H, W, 3 * C], rolled, to [3, B, windows, heads, T, C / heads]."""
        return split_heads(roll(qkv, self.shift), self.window, self.num_heads)

    def merge_heads(self, context: Tensor) -> Tensor:
        """[B, windows, heads, T, C / heads] to [B, H, W, C], rolled back."""
        back = (-self.shift[0], -self.shift[1])
        return roll(merge_heads(context, self.window, self.grid), back)


class IntegerSwinPatchEmbed(nn.Module):
    """Patch embedding and the LayerNorm that starts the residual stream."""

    def __init__(self, proj: PackedMatMul, norm: LayerNorm, patch_size: Size, grid: Size) -> None:
        """Take the ops in their order, the patches' pixels and the image's patches."""
        super().__init__()
        self.patch_size, self.grid = patch_size, grid
        self.proj = proj
        self.norm = norm

    def forward(self, images: Tensor) -> Tensor:
        """Embed int8 ``images`` [B, in_chans, H, W] as int8 [B, rows, columns, C]."""
        x: Tensor = self.norm(self.proj(to_patches(images, self.patch_size)))
        return x.reshape(-1, *self.grid, x.shape[-1])


class IntegerPatchMerging(nn.Module):
    """Halves the grid and doubles the channels."""

    def __init__(self, norm: LayerNorm, reduction: PackedMatMul) -> None:
        """Take the ops in their order."""
        super().__init__()
        self.norm = norm
        self.reduction = reduction

    def forward(self, x: Tensor) -> Tensor:
        """Merge int8 ``x`` [B, H, W, C] to int8 [B, H / 2, W / 2, 2 * C]."""
        out: Tensor = self.reduction(self.norm(merge_patches(x)))
        return out


class IntegerSwinStage(nn.Module):
    """Patch merging, except in the first stage, and the blocks of one resolution."""

    def __init__(self, downsample: IntegerPatchMerging | None, blocks: list[IntegerBlock]) -> None:
        """Take the parts in their order."""
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Transform the residual stream, int8 [B, H, W, C]."""
        if self.downsample is not None:
            x = self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x


class IntegerSwinHead(nn.Module):
    """Average pooling over the tokens and the classifier."""

    pool_weights: Tensor

    def __init__(self, pool: WeightedMean, fc: PackedMatMulToInt32, tokens: int) -> None:
        """Take the ops in their order and the number of tokens."""
        super().__init__()
        self.pool = pool
        self.fc = fc
        self.register_buffer("pool_weights", torch.ones(1, 1, tokens, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, int32 [B, classes], of normalised tokens, int8 [B, H, W, C]."""
        tokens = x.reshape(-1, self.pool_weights.shape[2], x.shape[-1])
        pooled = self.pool(self.pool_weights.expand(tokens.shape[0], -1, -1), tokens)
        out: Tensor = self.fc(pooled.reshape(-1, x.shape[-1]))
        return out


class IntegerSwinTransformer(IntegerModel):
    """A Swin Transformer of integer ops between two border ops."""

    def __init__(
        self,
        config: ModelConfig,
        quantize: Quantize,
        patch_embed: IntegerSwinPatchEmbed,
        layers: list[IntegerSwinStage],
        norm: LayerNorm,
        head: IntegerSwinHead,
        dequantize: Dequantize,
    ) -> None:
        """Take the parts in their order."""
        super().__init__(config, quantize, dequantize)
        self.patch_embed = patch_embed
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.head = head

    def forward_int8(self, images: Tensor) -> Tensor:
        """The integer part: int8 images [B, in_chans, H, W] to int32 logits [B, classes]."""
        x = self.patch_embed(images)
        for stage in self.layers:
            x = stage(x)
        out: Tensor = self.head(self.norm(x))
        return out
