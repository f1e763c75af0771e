"""The fake-quantized Swin Transformer to the integer one."""

from __future__ import annotations

import numpy as np

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.blocks import IntegerBlock
from pqv_onnx.integer.layers import Quantize, Softmax2nBias, WeightedMean
from pqv_onnx.integer.lower import attention_ops, block, head, layer_norm, matmul, real
from pqv_onnx.integer.swin import (
    IntegerPatchMerging,
    IntegerSwinHead,
    IntegerSwinPatchEmbed,
    IntegerSwinStage,
    IntegerSwinTransformer,
    IntegerWindowAttention,
)
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat.blocks import QuantBlock
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.qat.swin import (
    QuantPatchMerging,
    QuantSwinPatchEmbed,
    QuantSwinStage,
    QuantSwinTransformer,
    QuantWindowAttention,
)


def convert_swin(model: QuantSwinTransformer) -> IntegerSwinTransformer:
    """Build the integer form of a calibrated Swin Transformer.

    Raises:
        PqvError: a scale is out of an op's range.
    """
    layers = []
    before: ResidualQuantizer | None = None
    streams = model.residual_streams()
    for index, (stage, stream) in enumerate(zip(model.layers, streams, strict=True)):
        assert isinstance(stage, QuantSwinStage)
        try:
            layers.append(_stage(stage, stream, before))
        except PqvError as error:
            raise PqvError(f"layers.{index}: {error}") from error
        before = stream[-1]
    last = streams[-1][-1]
    pool = model.head.pool.quantizer
    scale = fixed_point.weighted_mean_scale(float(real(model.norm.step) / real(pool.step)))
    fc, dequantize = head(model.head.fc, pool.step)
    height, width = model.swin.stages[-1].grid
    return IntegerSwinTransformer(
        config=model.config,
        quantize=Quantize(model.patch_embed.quantizer.step.item()),
        patch_embed=_patch_embed(model.patch_embed),
        layers=layers,
        norm=layer_norm(model.norm, last.exponent, last.step.item()),
        head=IntegerSwinHead(WeightedMean(scale, pool.bits), fc, height * width),
        dequantize=dequantize,
    )


def _patch_embed(embed: QuantSwinPatchEmbed) -> IntegerSwinPatchEmbed:
    between = embed.embedded
    proj = matmul(embed.proj, embed.quantizer.step, real(between.channel_step), between.bits)
    norm = layer_norm(embed.norm, between.exponent, between.step.item())
    return IntegerSwinPatchEmbed(proj, norm, embed.patch_size, embed.grid)


def _stage(
    stage: QuantSwinStage, stream: list[ResidualQuantizer], before: ResidualQuantizer | None
) -> IntegerSwinStage:
    """A stage on its ``stream``; ``before`` is the stream that a merging reads."""
    downsample = None
    if stage.downsample is not None:
        assert before is not None
        downsample = _merging(stage.downsample, before)
    blocks = []
    for source, residual in zip(stage.blocks, stream[::2], strict=False):
        assert isinstance(source, QuantBlock)
        blocks.append(_block(source, residual))
    return IntegerSwinStage(downsample, blocks)


def _merging(merging: QuantPatchMerging, before: ResidualQuantizer) -> IntegerPatchMerging:
    out = merging.residual
    return IntegerPatchMerging(
        layer_norm(merging.norm, before.exponent.repeat(4), before.step.item()),
        matmul(merging.reduction, merging.norm.step, real(out.channel_step), out.bits),
    )


def _block(source: QuantBlock, stream: ResidualQuantizer) -> IntegerBlock:
    attn = source.attn
    assert isinstance(attn, QuantWindowAttention)
    ops = attention_ops(source, stream)
    softmax = Softmax2nBias(
        ops.softmax_scale,
        attn.softmax.log2,
        attn.softmax.bias_codes(attn.bias(), attn.logit_unit),
        attn.mask.cpu().numpy().astype(np.uint8),
    )
    attention = IntegerWindowAttention(
        attn.num_heads, attn.window, attn.shift, attn.grid, ops.qkv, softmax, ops.mean, ops.proj
    )
    return block(source, attention, stream)
