"""The integer Vision Transformer; modules are named as in timm, so ONNX nodes are, too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pqv_onnx.integer.layers import (
    Dequantize,
    Gelu,
    LayerNorm,
    MatMul,
    PackedMatMul,
    PackedMatMulAdd,
    PackedMatMulToInt32,
    Quantize,
    Softmax2n,
    WeightedMean,
)
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.layers import to_patches


class IntegerPatchEmbed(nn.Module):
    """Patch embedding and positional embedding in one rounding."""

    positions: Tensor

    def __init__(
        self, proj: PackedMatMulAdd, positions: Tensor, patch_size: tuple[int, int]
    ) -> None:
        """Take the matmul and the positions of the patches, int8 [1, patches, C]."""
        super().__init__()
        self.patch_size = patch_size
        self.proj = proj
        self.register_buffer("positions", positions)

    def forward(self, images: Tensor) -> Tensor:
        """Embed int8 ``images`` [B, in_chans, H, W] as int8 [B, patches, C]."""
        out: Tensor = self.proj(to_patches(images, self.patch_size), self.positions)
        return out


class IntegerAttention(nn.Module):
    """Multi-head self-attention with the residual link in its projection."""

    def __init__(
        self,
        num_heads: int,
        qkv: PackedMatMul,
        softmax: Softmax2n,
        mean: WeightedMean,
        proj: PackedMatMulAdd,
    ) -> None:
        """Take the ops in their order."""
        super().__init__()
        self.num_heads = num_heads
        self.qkv = qkv
        self.matmul = MatMul()
        self.softmax = softmax
        self.mean = mean
        self.proj = proj

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Attend over int8 ``x`` [B, T, C] and add int8 ``residual`` [B, T, C]."""
        _, t, c = x.shape
        qkv = self.qkv(x).reshape(-1, t, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        context = self.mean(self.softmax(self.matmul(q, k)), v)
        out: Tensor = self.proj(context.transpose(1, 2).reshape(-1, t, c), residual)
        return out


class IntegerMlp(nn.Module):
    """Two matmuls with a table between them and the residual link in the second."""

    def __init__(self, fc1: PackedMatMul, act: Gelu, fc2: PackedMatMulAdd) -> None:
        """Take the ops in their order."""
        super().__init__()
        self.fc1 = fc1
        self.act = act
        self.fc2 = fc2

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Transform int8 ``x`` [..., C] and add int8 ``residual``."""
        out: Tensor = self.fc2(self.act(self.fc1(x)), residual)
        return out


class IntegerBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(
        self, norm1: LayerNorm, attn: IntegerAttention, norm2: LayerNorm, mlp: IntegerMlp
    ) -> None:
        """Take the parts in their order."""
        super().__init__()
        self.norm1 = norm1
        self.attn = attn
        self.norm2 = norm2
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """Transform the residual stream, int8 [B, T, C]."""
        x = self.attn(self.norm1(x), x)
        x = self.mlp(self.norm2(x), x)
        return x


class IntegerVisionTransformer(nn.Module):
    """A Vision Transformer of integer ops between two border ops.

    Attributes:
        config: geometry, quantization scheme and preprocessing.
        quantize: the first border, float images to int8; its ``scale`` is the images' step.
        dequantize: the last border, int32 accumulators to float logits.
        checkpoint_sha256: of the file the fake-quantized model was loaded from, if it was.
    """

    checkpoint_sha256: str | None = None

    prefix: Tensor
    pool_weights: Tensor

    def __init__(
        self,
        config: ModelConfig,
        quantize: Quantize,
        patch_embed: IntegerPatchEmbed,
        prefix: Tensor,
        blocks: list[IntegerBlock],
        norm: LayerNorm,
        pool: WeightedMean | None,
        head: PackedMatMulToInt32,
        dequantize: Dequantize,
    ) -> None:
        """Take the parts in their order; ``prefix`` is int8 [1, prefix tokens, C]."""
        super().__init__()
        self.config = config
        self.quantize = quantize
        self.patch_embed = patch_embed
        self.register_buffer("prefix", prefix)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.pool = pool
        ones = torch.ones(1, 1, config.vit.num_patches, dtype=torch.uint8)
        self.register_buffer("pool_weights", ones)
        self.head = head
        self.dequantize = dequantize

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 [B, classes], of normalised float images [B, in_chans, H, W]."""
        out: Tensor = self.dequantize(self.forward_int8(self.quantize(images)))
        return out

    def forward_int8(self, images: Tensor) -> Tensor:
        """The integer part: int8 images [B, in_chans, H, W] to int32 logits [B, classes]."""
        x = self.patch_embed(images)
        if self.config.vit.num_prefix_tokens:
            x = torch.cat((self.prefix.expand(x.shape[0], -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self._features(x))
        return out

    def _features(self, x: Tensor) -> Tensor:
        vit = self.config.vit
        if self.pool is None:
            return self.norm(x[:, : vit.head_tokens]).reshape(-1, vit.head_features)
        patches = x[:, vit.num_prefix_tokens :]
        weights = self.pool_weights.expand(x.shape[0], -1, -1)
        if vit.fc_norm:
            pooled = self.norm(self.pool(weights, patches))
        else:
            pooled = self.pool(weights, self.norm(patches))
        return pooled.reshape(-1, vit.head_features)
