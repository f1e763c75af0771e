"""The integer Vision Transformer; modules are named as in timm, so ONNX nodes are, too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pqv_onnx.integer.blocks import IntegerBlock
from pqv_onnx.integer.layers import (
    Dequantize,
    LayerNorm,
    PackedMatMulAdd,
    PackedMatMulToInt32,
    Quantize,
    WeightedMean,
)
from pqv_onnx.integer.model import IntegerModel
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.geometry import VitConfig
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


class IntegerVisionTransformer(IntegerModel):
    """A Vision Transformer of integer ops between two border ops."""

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
        super().__init__(config, quantize, dequantize)
        self.patch_embed = patch_embed
        self.register_buffer("prefix", prefix)
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.pool = pool
        ones = torch.ones(1, 1, self.vit.num_patches, dtype=torch.uint8)
        self.register_buffer("pool_weights", ones)
        self.head = head

    @property
    def vit(self) -> VitConfig:
        """The geometry."""
        assert isinstance(self.config.geometry, VitConfig)
        return self.config.geometry

    def forward_int8(self, images: Tensor) -> Tensor:
        """The integer part: int8 images [B, in_chans, H, W] to int32 logits [B, classes]."""
        x = self.patch_embed(images)
        if self.vit.num_prefix_tokens:
            x = torch.cat((self.prefix.expand(x.shape[0], -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self._features(x))
        return out

    def _features(self, x: Tensor) -> Tensor:
        vit = self.vit
        if self.pool is None:
            return self.norm(x[:, : vit.head_tokens]).reshape(-1, vit.head_features)
        patches = x[:, vit.num_prefix_tokens :]
        weights = self.pool_weights.expand(x.shape[0], -1, -1)
        if vit.fc_norm:
            pooled = self.norm(self.pool(weights, patches))
        else:
            pooled = self.pool(weights, self.norm(patches))
        return pooled.reshape(-1, vit.head_features)
