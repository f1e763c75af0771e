"""Fake-quantized layers to integer ones: real scales become shifts and multipliers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pqv_onnx.integer.blocks import IntegerAttention, IntegerBlock, IntegerMlp
from pqv_onnx.integer.layers import (
    Dequantize,
    Gelu,
    LayerNorm,
    PackedMatMul,
    PackedMatMulAdd,
    PackedMatMulToInt32,
    WeightedMean,
)
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat.blocks import QuantBlock
from pqv_onnx.qat.layers import LayerScale, QuantLayerNorm, QuantLinear
from pqv_onnx.qat.quantizers import ResidualQuantizer

Real = NDArray[np.float64]


class AttentionOps(NamedTuple):
    """What `attention_ops` makes, in the order of the computation."""

    qkv: PackedMatMul
    softmax_scale: tuple[int, int]
    mean: WeightedMean
    proj: PackedMatMulAdd


def real(tensor: Tensor) -> Real:
    """A step or weight as float64 numpy array."""
    array: Real = tensor.detach().cpu().double().numpy()
    return array


def _accumulator(
    linear: QuantLinear, in_step: Tensor, zero_point: int = 0
) -> tuple[NDArray[np.int8], NDArray[np.int64], Real]:
    """Weights [K, N], bias in accumulator steps with the zero point folded in, and those steps."""
    weights: NDArray[np.int8] = linear.quantizer.codes(linear.weight).T.to(torch.int8).cpu().numpy()
    bias = -zero_point * weights.sum(0, dtype=np.int64)
    if linear.bias is not None:
        bias += linear.bias_codes(in_step)
    return weights, bias, real(linear.unit(in_step))


def matmul(
    linear: QuantLinear,
    in_step: Tensor,
    out_step: ArrayLike,
    y_bits: int,
    offset: ArrayLike = 0,
) -> PackedMatMul:
    """A linear layer from steps of ``in_step`` to ``out_step``, one for all or [out_features].

    ``offset`` is added to the bias, in accumulators.
    """
    weights, bias, unit = _accumulator(linear, in_step)
    scale = fixed_point.requantizer(unit / np.asarray(out_step))
    bias_codes = fixed_point.matmul_bias(bias + np.asarray(offset))
    return PackedMatMul(weights, bias_codes, scale, linear.quantizer.bits, y_bits)


def matmul_add(
    linear: QuantLinear,
    in_step: Tensor,
    residual_step: Real,
    out: ResidualQuantizer,
    branch_scale: torch.nn.Module | None = None,
    zero_point: int = 0,
) -> PackedMatMulAdd:
    """A linear layer whose output is added to the residual stream.

    Args:
        linear: the layer.
        in_step: step of its input.
        residual_step: steps of the residual before the addition, [out_features].
        out: the residual stream after it.
        branch_scale: ``LayerScale``, if the block has it.
        zero_point: of the input's codes.
    """
    weights, bias, unit = _accumulator(linear, in_step, zero_point)
    if isinstance(branch_scale, LayerScale):
        unit = unit * real(branch_scale.gamma)
    out_step = real(out.channel_step)
    return PackedMatMulAdd(
        weights,
        fixed_point.matmul_bias(bias),
        fixed_point.requantizer(unit / out_step),
        linear.quantizer.bits,
        out.bits,
        fixed_point.residual_multiplier(residual_step / out_step),
    )


def layer_norm(norm: QuantLayerNorm, exponent: Tensor, in_step: float) -> LayerNorm:
    """A LayerNorm of a stream with the step ``in_step`` and the exponents [channels]."""
    channels = norm.weight.shape[0]
    step = real(norm.quantizer.channel_step)
    return LayerNorm(
        exponent.cpu().numpy(),
        fixed_point.layer_norm_scale(real(norm.weight) / step),
        fixed_point.layer_norm_bias(real(norm.bias) / step),
        fixed_point.layer_norm_epsilon(norm.eps, channels, in_step),
        norm.quantizer.bits,
    )


def block(source: QuantBlock, attn: IntegerAttention, stream: ResidualQuantizer) -> IntegerBlock:
    """A transformer block on ``stream`` with its attention, which is already converted."""
    middle = source.residual1
    fc2 = matmul_add(
        source.mlp.fc2,
        source.mlp.act.step,
        real(middle.channel_step),
        source.residual2,
        source.ls2,
        source.mlp.act.quantizer.zero_point,
    )
    act = source.mlp.act
    offset = act.input_offset(source.mlp.fc1.unit(source.norm2.step))
    pre_gelu = act.input_quantizer
    fc1 = matmul(source.mlp.fc1, source.norm2.step, real(pre_gelu.step), pre_gelu.bits, offset)
    return IntegerBlock(
        layer_norm(source.norm1, stream.exponent, stream.step.item()),
        attn,
        layer_norm(source.norm2, middle.exponent, middle.step.item()),
        IntegerMlp(fc1, Gelu(act.table()), fc2),
    )


def attention_ops(source: QuantBlock, stream: ResidualQuantizer) -> AttentionOps:
    """The ops of a block's attention but for the softmax, which depends on the family."""
    attn = source.attn
    q, k, v = (real(z.step) for z in (attn.q_quantizer, attn.k_quantizer, attn.v_quantizer))
    out_step = np.repeat([q, k, v], attn.proj.weight.shape[1])
    context_step = attn.quantizer.step
    return AttentionOps(
        matmul(attn.qkv, source.norm1.step, out_step, attn.q_quantizer.bits),
        attn.softmax.scale(attn.logit_unit),
        WeightedMean(
            fixed_point.weighted_mean_scale(float(v / real(context_step))), attn.quantizer.bits
        ),
        matmul_add(
            attn.proj, context_step, real(stream.channel_step), source.residual1, source.ls1
        ),
    )


def head(linear: QuantLinear, in_step: Tensor) -> tuple[PackedMatMulToInt32, Dequantize]:
    """The classifier and the border behind it."""
    weights, bias, unit = _accumulator(linear, in_step)
    return PackedMatMulToInt32(weights, fixed_point.matmul_bias(bias)), Dequantize(
        unit.astype(np.float32)
    )
