"""The fake-quantized Vision Transformer to the integer one."""

from __future__ import annotations

import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.blocks import IntegerAttention, IntegerBlock
from pqv_onnx.integer.layers import Quantize, Softmax2n, WeightedMean
from pqv_onnx.integer.lower import attention_ops, block, head, layer_norm, matmul_add, real
from pqv_onnx.integer.vit import IntegerPatchEmbed, IntegerVisionTransformer
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat.blocks import QuantBlock
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.qat.vit import QuantVisionTransformer


def convert_vit(model: QuantVisionTransformer) -> IntegerVisionTransformer:
    """Build the integer form of a calibrated Vision Transformer.

    Raises:
        PqvError: a scale is out of an op's range.
    """
    stream = model.residual
    blocks = []
    for index, source in enumerate(model.blocks):
        assert isinstance(source, QuantBlock)
        try:
            blocks.append(_block(source, stream))
        except PqvError as error:
            raise PqvError(f"blocks.{index}: {error}") from error
        stream = source.residual2
    norm_step, pool = real(stream.step), None
    if model.pool is not None:
        fc_norm = model.vit.fc_norm
        pool_step = real(model.pool.quantizer.step)
        source_step = norm_step if fc_norm else real(model.norm.step)
        scale = fixed_point.weighted_mean_scale(float(source_step / pool_step))
        pool = WeightedMean(scale, model.pool.quantizer.bits)
        norm_step = pool_step if fc_norm else norm_step
    classifier, dequantize = head(model.head, model.head_step)
    return IntegerVisionTransformer(
        config=model.config,
        quantize=Quantize(model.patch_embed.quantizer.step.item()),
        patch_embed=_patch_embed(model),
        prefix=model.residual.codes(model.prefix()).to(torch.int8),
        blocks=blocks,
        norm=layer_norm(model.norm, stream.exponent, float(norm_step)),
        pool=pool,
        head=classifier,
        dequantize=dequantize,
    )


def _block(source: QuantBlock, stream: ResidualQuantizer) -> IntegerBlock:
    attn = source.attn
    ops = attention_ops(source, stream)
    softmax = Softmax2n(ops.softmax_scale, attn.softmax.log2)
    attention = IntegerAttention(attn.num_heads, ops.qkv, softmax, ops.mean, ops.proj)
    return block(source, attention, stream)


def _patch_embed(model: QuantVisionTransformer) -> IntegerPatchEmbed:
    embed, positions = model.patch_embed, model.patch_positions()
    step = real(positions.channel_step)
    proj = matmul_add(embed.proj, embed.quantizer.step, step, model.residual)
    return IntegerPatchEmbed(proj, positions.codes.to(torch.int8), embed.patch_size)
