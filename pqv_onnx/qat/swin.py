"""The fake-quantized Swin Transformer; modules are named as in timm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from pqv_onnx.qat.blocks import QuantAttention, QuantBlock, QuantMlp
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.geometry import SwinConfig, SwinStageConfig
from pqv_onnx.qat.layers import QuantLayerNorm, QuantLinear, QuantMean, QuantPatchEmbed
from pqv_onnx.qat.model import FloatSource, QuantModel, Segment, same
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.qat.rotation import Stream
from pqv_onnx.qat.windows import (
    attention_mask,
    merge_heads,
    merge_patches,
    relative_position_index,
    roll,
    split_heads,
)
from pqv_onnx.spec import QuantSpec


class QuantWindowAttention(QuantAttention):
    """Self-attention within windows, with a bias for the tokens' relative positions."""

    relative_position_index: Tensor
    mask: Tensor

    def __init__(
        self, stage: SwinStageConfig, shift: tuple[int, int], qkv_bias: bool, spec: QuantSpec
    ) -> None:
        """Create an attention layer of zeros whose windows are shifted by ``shift`` tokens."""
        super().__init__(stage.dim, stage.num_heads, qkv_bias, True, spec)
        self.grid, self.window, self.shift = stage.grid, stage.window, shift
        h, w = stage.window
        offsets = (2 * h - 1) * (2 * w - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, stage.num_heads))
        index = relative_position_index(stage.window)
        self.register_buffer("relative_position_index", index, persistent=False)
        mask = attention_mask(stage.grid, stage.window, shift)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, step: Tensor) -> Sums:
        """Attend over ``x`` [B, H, W, dim], multiples of ``step``."""
        back = (-self.shift[0], -self.shift[1])
        sums = super().forward(roll(x, self.shift), step)
        return sums._replace(real=roll(sums.real, back), codes=roll(sums.codes, back))

    def split_heads(self, qkv: Tensor) -> Tensor:
        """[B, H, W, 3 * dim] to [3, B, windows, heads, T, dim / heads]."""
        return split_heads(qkv, self.window, self.num_heads)

    def bias(self) -> Tensor:
        """The bias of each pair of tokens in log2 units, [heads, T, T]."""
        table = self.relative_position_bias_table[self.relative_position_index]
        return table.permute(2, 0, 1) * math.log2(math.e)

    def weights(self, logits: Sums) -> tuple[Tensor, Tensor]:
        """Attention weights of ``logits`` [B, windows, heads, T, T] in log2 units."""
        out: tuple[Tensor, Tensor] = self.softmax(logits, self.bias(), self.mask.unsqueeze(1))
        return out

    def merge_heads(self, context: Tensor) -> Tensor:
        """[B, windows, heads, T, dim / heads] to [B, H, W, dim]."""
        return merge_heads(context, self.window, self.grid)


class QuantSwinPatchEmbed(QuantPatchEmbed):
    """Patch embedding and a LayerNorm whose output is the residual stream."""

    def __init__(self, swin: SwinConfig, spec: QuantSpec) -> None:
        """Create an embedding of zeros."""
        super().__init__(swin.patch_size, swin.in_chans, swin.embed_dim, spec)
        self.grid = swin.grid
        self.embedded = ResidualQuantizer(spec.residual, swin.embed_dim)
        stream = ResidualQuantizer(spec.residual, swin.embed_dim)
        self.norm = QuantLayerNorm(swin.embed_dim, swin.norm_eps, stream)

    def forward(self, images: Tensor) -> Tensor:
        """Embed ``images`` [B, in_chans, H, W] as [B, rows, columns, dim]."""
        sums = self.embed(images)
        embedded = self.embedded(sums.real, sums.in_steps)
        out: Tensor = self.norm(embedded, self.embedded.step)
        return out.unflatten(1, self.grid)


class QuantPatchMerging(nn.Module):
    """Halves the grid and doubles the channels; starts a new residual stream."""

    def __init__(self, dim: int, eps: float, spec: QuantSpec) -> None:
        """Create a layer of zeros for ``dim`` input channels."""
        super().__init__()
        self.norm = QuantLayerNorm(4 * dim, eps, ActivationQuantizer(spec.norm.bits))
        self.reduction = QuantLinear(4 * dim, 2 * dim, spec.weight.bits, bias=False)
        self.residual = ResidualQuantizer(spec.residual, 2 * dim)

    def forward(self, x: Tensor, stream: ResidualQuantizer) -> Tensor:
        """Merge ``x`` [B, H, W, dim], which ``stream`` has quantized, to [B, H/2, W/2, 2 * dim]."""
        normed = self.norm(merge_patches(x), stream.step)
        reduced: Sums = self.reduction(normed, self.norm.step)
        out: Tensor = self.residual(reduced.real, reduced.in_steps)
        return out


class QuantSwinStage(nn.Module):
    """Patch merging, except in the first stage, and the blocks of one resolution."""

    def __init__(self, swin: SwinConfig, index: int, spec: QuantSpec) -> None:
        """Create the uncalibrated stage ``index``."""
        super().__init__()
        stage, eps = swin.stages[index], swin.norm_eps
        self.downsample = QuantPatchMerging(stage.dim // 2, eps, spec) if index > 0 else None
        self.blocks = nn.ModuleList(
            QuantBlock(
                QuantWindowAttention(stage, stage.shift(block), swin.qkv_bias, spec),
                QuantMlp(stage.dim, stage.mlp_dim, True, spec),
                eps,
                spec,
            )
            for block in range(stage.depth)
        )

    def forward(self, x: Tensor, stream: ResidualQuantizer) -> Tensor:
        """Transform ``x`` [B, H, W, dim], which ``stream`` has quantized."""
        for part in self.segments("", stream):
            x = part(x)
        return x

    def segments(self, name: str, stream: ResidualQuantizer) -> list[Segment]:
        """The merging and each half of each block; ``stream`` has quantized what they read."""
        parts: list[Segment] = []
        if self.downsample is not None:
            merge = partial(self.downsample, stream=stream)
            parts.append(Segment(f"{name}.downsample", merge, (self.downsample,)))
            stream = self.downsample.residual
        for index, block in enumerate(self.blocks):
            assert isinstance(block, QuantBlock)
            parts += block.halves(f"{name}.blocks.{index}", stream)
            stream = block.residual2
        return parts


class QuantSwinHead(nn.Module):
    """Average pooling over the tokens and the classifier."""

    def __init__(self, features: int, classes: int, spec: QuantSpec) -> None:
        """Create a head of zeros."""
        super().__init__()
        self.pool = QuantMean(spec.final_norm.bits)
        self.fc = QuantLinear(features, classes, spec.head_weight.bits, bias=True)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Logits [B, classes] of tokens ``x`` [B, T, features], multiples of ``step``."""
        pooled = self.pool(x, step, torch.ones_like(x[0, 0]))
        logits: Sums = self.fc(pooled, self.pool.quantizer.step)
        return logits.real


class QuantSwinTransformer(QuantModel):
    """A Swin Transformer for quantization-aware training."""

    def __init__(self, config: ModelConfig) -> None:
        """Create an uncalibrated model of zeros; ``config`` stays with it."""
        super().__init__(config)
        swin, spec = self.swin, config.spec
        self.patch_embed = QuantSwinPatchEmbed(swin, spec)
        self.layers = nn.ModuleList(
            QuantSwinStage(swin, index, spec) for index in range(len(swin.depths))
        )
        features = swin.stages[-1].dim
        final = ActivationQuantizer(spec.final_norm.bits)
        self.norm = QuantLayerNorm(features, swin.norm_eps, final)
        self.head = QuantSwinHead(features, swin.num_classes, spec)

    @property
    def swin(self) -> SwinConfig:
        """The geometry."""
        assert isinstance(self.config.geometry, SwinConfig)
        return self.config.geometry

    def residual_streams(self) -> list[list[ResidualQuantizer]]:
        """One stream per stage, from the embedding or the merging on."""
        streams = []
        for stage in self.layers:
            assert isinstance(stage, QuantSwinStage)
            first = (
                self.patch_embed.norm.quantizer
                if stage.downsample is None
                else stage.downsample.residual
            )
            assert isinstance(first, ResidualQuantizer)
            blocks = [block for block in stage.blocks if isinstance(block, QuantBlock)]
            added = [q for block in blocks for q in (block.residual1, block.residual2)]
            streams.append([first, *added])
        return streams

    def segments(self) -> list[Segment]:
        """The embedding, the mergings, each half of each block, and the head."""
        parts: list[Segment] = []
        for index, (stage, stream) in enumerate(self._stages()):
            parts += stage.segments(f"layers.{index}", stream)
        return [
            Segment("patch_embed", self.patch_embed, (self.patch_embed,)),
            *parts,
            Segment("head", self.forward_head, (self.norm, self.head)),
        ]

    def rotatable_streams(self) -> list[Stream]:
        """Those behind the mergings; the first begins with a LayerNorm, which does not rotate."""
        streams: list[Stream] = []
        for stage, _ in self._stages():
            merging = stage.downsample
            if merging is None:
                continue
            if streams:
                streams[-1].readers.append((merging.norm, merging.reduction))
            first = (merging.reduction, nn.Identity())
            streams.append(Stream(merging.reduction.weight.shape[0], writers=[first]))
            for block in stage.blocks:
                assert isinstance(block, QuantBlock)
                block.extend(streams[-1])
        if streams:
            streams[-1].readers.append((self.norm, self.head.fc))
        return streams

    def _stages(self) -> Iterator[tuple[QuantSwinStage, ResidualQuantizer]]:
        """The stages and the quantizers of what they read."""
        streams = self.residual_streams()
        before = [streams[0][0], *(stream[-1] for stream in streams)]
        for stage, stream in zip(self.layers, before, strict=False):
            assert isinstance(stage, QuantSwinStage)
            yield stage, stream

    def float_source(self, name: str, state: Mapping[str, Tensor]) -> FloatSource:
        """The same key, but for the patches' convolution."""
        if name == "patch_embed.proj.weight":
            return (name,), lambda weight: weight.flatten(1)
        return (name,), same

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised images [B, in_chans, H, W]."""
        x = self.patch_embed(images)
        for stage, stream in self._stages():
            x = stage(x, stream)
        return self.forward_head(x)

    def forward_head(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of the residual stream ``x`` [B, H, W, features]."""
        normed = self.norm(x, self.residual_streams()[-1][-1].step)
        out: Tensor = self.head(normed.flatten(1, 2), self.norm.step)
        return out
