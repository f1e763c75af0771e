"""The fake-quantized Vision Transformer; modules are named as in timm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from pqv_onnx.ops.arithmetic import sat16
from pqv_onnx.qat import exact
from pqv_onnx.qat.blocks import QuantAttention, QuantBlock, QuantMlp
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.geometry import VitConfig
from pqv_onnx.qat.layers import (
    QuantDistilledHead,
    QuantizedConstant,
    QuantLayerNorm,
    QuantLinear,
    QuantMean,
    QuantPatchEmbed,
    quantize_constant,
)
from pqv_onnx.qat.model import FloatSource, QuantModel, Segment, same
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.qat.rotation import Stream
from pqv_onnx.spec import QuantSpec


class QuantVisionTransformer(QuantModel):
    """A Vision Transformer for quantization-aware training.

    With a distillation token the two heads are one: ``head`` reads both tokens' features side
    by side, and its logits are the mean of the two heads' logits.

    Attributes:
        heads_apart: whether ``forward`` gives the logits of both heads in training mode.
    """

    heads_apart = False

    def __init__(self, config: ModelConfig) -> None:
        """Create an uncalibrated model of zeros; ``config`` stays with it."""
        super().__init__(config)
        vit, spec = self.vit, config.spec
        dim = vit.embed_dim
        self.patch_embed = QuantPatchEmbed(vit.patch_size, vit.in_chans, dim, spec)
        self.cls_token = _tokens(int(vit.class_token), dim)
        self.dist_token = _tokens(int(vit.dist_token), dim)
        self.reg_token = _tokens(vit.reg_tokens, dim)
        embedded = vit.num_patches + (0 if vit.no_embed_class else vit.num_prefix_tokens)
        self.pos_embed = nn.Parameter(torch.zeros(1, embedded, dim))
        self.residual = ResidualQuantizer(spec.residual, dim)
        self.blocks = nn.ModuleList(_block(vit, spec) for _ in range(vit.depth))
        self.norm = QuantLayerNorm(dim, vit.norm_eps, ActivationQuantizer(spec.final_norm.bits))
        self.pool = QuantMean(spec.final_norm.bits) if vit.global_pool == "avg" else None
        sizes = (vit.head_features, vit.num_classes, spec.head_weight.bits)
        self.head = QuantDistilledHead(*sizes) if vit.dist_token else QuantLinear(*sizes, True)

    @property
    def vit(self) -> VitConfig:
        """The geometry."""
        assert isinstance(self.config.geometry, VitConfig)
        return self.config.geometry

    def train_heads_apart(self) -> bool:
        """Let ``forward`` give the logits of both heads in training mode, if there are two."""
        if isinstance(self.head, QuantDistilledHead):
            self.head.difference.requires_grad_(True)
            self.heads_apart = True
        return self.heads_apart

    def residual_streams(self) -> list[list[ResidualQuantizer]]:
        """The one stream, from the embedding to the last block."""
        added = [q for block, _ in self._blocks() for q in (block.residual1, block.residual2)]
        return [[self.residual, *added]]

    def constant_steps(self) -> dict[ResidualQuantizer, Tensor]:
        """The positions' in front of the first block."""
        return {self.residual: self.patch_positions().channel_step}

    def rotatable_streams(self) -> list[Stream]:
        """The one stream."""
        tokens = (self.cls_token, self.dist_token, self.reg_token)
        constants = [self.pos_embed, *(token for token in tokens if token is not None)]
        stream = Stream(self.vit.embed_dim, constants, [(self.patch_embed.proj, nn.Identity())])
        for block, _ in self._blocks():
            block.extend(stream)
        stream.readers.append((self.norm, self.head))
        return [stream]

    def float_source(self, name: str, state: Mapping[str, Tensor]) -> FloatSource:
        """The same key, but for the patches' convolution, the final norm and the two heads."""
        if name == "patch_embed.proj.weight":
            return (name,), lambda weight: weight.flatten(1)
        if self.vit.dist_token and name == "head.weight":
            weights = ("head.weight", "head_dist.weight")
            return weights, lambda head, dist: torch.cat((head, dist), 1) / 2
        if self.vit.dist_token and name.startswith("head."):
            sign = -1 if name == "head.difference" else 1
            return ("head.bias", "head_dist.bias"), lambda head, dist: (head + sign * dist) / 2
        if name.startswith("norm.") and "fc_norm.weight" in state:
            return (f"fc_{name}",), same
        return (name,), same

    def prefix(self) -> Tensor:
        """The tokens in front of the patches with their positions, float64 [1, prefix, dim]."""
        kinds = (self.cls_token, self.dist_token, self.reg_token)
        none = self.pos_embed[:, :0]
        prefix = torch.cat([none, *(token for token in kinds if token is not None)], 1).double()
        if self.vit.no_embed_class:
            return prefix
        return prefix + self.pos_embed[:, : prefix.shape[1]]

    def patch_positions(self) -> QuantizedConstant:
        """The positional embedding of the patches, [1, patches, dim]."""
        return quantize_constant(self.pos_embed[:, -self.vit.num_patches :])

    def segments(self) -> list[Segment]:
        """The embedding, each half of each block, and the head."""
        embed = Segment("patch_embed", self.embed, (self.patch_embed, self.residual))
        halves: list[Segment] = []
        for index, (block, stream) in enumerate(self._blocks()):
            halves += block.halves(f"blocks.{index}", stream)
        pool = () if self.pool is None else (self.pool,)
        return [embed, *halves, Segment("head", self.forward_head, (self.norm, *pool, self.head))]

    def _blocks(self) -> Iterator[tuple[QuantBlock, ResidualQuantizer]]:
        """The blocks and the quantizers of what they read."""
        stream = self.residual
        for block in self.blocks:
            assert isinstance(block, QuantBlock)
            yield block, stream
            stream = block.residual2

    def embed(self, images: Tensor) -> Tensor:
        """The residual stream before the first block, [B, T, dim]."""
        patches = self.patch_embed.embed(images)
        positions, prefix = self.patch_positions(), self.prefix()
        count = len(images)

        def op(step: Tensor) -> Tensor:
            u = patches.requantized(step)
            u += exact.residual_link(positions.codes, positions.channel_step, step)
            tokens = self.residual.codes(prefix).expand(count, -1, -1)
            return torch.cat((tokens, exact.in_steps(sat16(u))), 1)

        first = prefix.to(patches.real.dtype).expand(count, -1, -1)
        out: Tensor = self.residual(torch.cat((first, patches.real + positions.real), 1), op)
        return out

    def forward_head(self, x: Tensor) -> Tensor:
        """Logits of the residual stream ``x``."""
        vit, stream = self.vit, self.residual_streams()[0][-1]
        if self.pool is None:
            features = self.norm(x[:, : vit.head_tokens], stream.step).flatten(1)
        elif vit.fc_norm:
            scale = torch.exp2(stream.exponent.to(x.dtype))
            pooled = self.pool(x[:, vit.num_prefix_tokens :], stream.step, scale)
            features = self.norm(pooled, self.pool.quantizer.step)
        else:
            normed = self.norm(x[:, vit.num_prefix_tokens :], stream.step)
            features = self.pool(normed, self.norm.step, torch.ones_like(x[0, 0]))
        if self.heads_apart and self.training:
            assert isinstance(self.head, QuantDistilledHead)
            return self.head.apart(features)
        logits: Sums = self.head(features, self.head_step)
        return logits.real

    @property
    def head_step(self) -> Tensor:
        """The step of the head's input."""
        if self.pool is None or self.vit.fc_norm:
            return self.norm.step
        return self.pool.quantizer.step

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes] of normalised images [B, in_chans, H, W]."""
        x = self.embed(images)
        for block, stream in self._blocks():
            x = block(x, stream)
        return self.forward_head(x)


def _tokens(count: int, dim: int) -> nn.Parameter | None:
    return nn.Parameter(torch.zeros(1, count, dim)) if count else None


def _block(vit: VitConfig, spec: QuantSpec) -> QuantBlock:
    return QuantBlock(
        QuantAttention(vit.embed_dim, vit.num_heads, vit.qkv_bias, vit.proj_bias, spec),
        QuantMlp(vit.embed_dim, vit.mlp_dim, vit.proj_bias, spec),
        vit.norm_eps,
        spec,
        vit.layer_scale,
    )
