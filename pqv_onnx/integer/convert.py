"""The fake-quantized model to the integer one: real scales become shifts and multipliers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.layers import (
    Dequantize,
    Gelu,
    LayerNorm,
    PackedMatMul,
    PackedMatMulAdd,
    PackedMatMulToInt32,
    Quantize,
    Softmax2n,
    WeightedMean,
)
from pqv_onnx.integer.vit import (
    IntegerAttention,
    IntegerBlock,
    IntegerMlp,
    IntegerPatchEmbed,
    IntegerVisionTransformer,
)
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.layers import (
    LayerScale,
    QuantGelu,
    QuantLayerNorm,
    QuantLinear,
    constant_step,
)
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.qat.vit import QuantBlock, QuantVisionTransformer

_Real = NDArray[np.float64]
_LARGEST_RESIDUAL_RATIO = 3.999
"""A little below the op's limit of 4."""


@torch.no_grad()
def convert_to_integer(model: QuantVisionTransformer) -> IntegerVisionTransformer:
    """Build the integer form of a calibrated or trained model.

    Args:
        model: a fake-quantized model; it is left as it is.

    Returns:
        A model whose buffers are integers, with copies of the weights.

    Raises:
        PqvError: the model is not calibrated, or a scale is out of an op's range.
    """
    check_calibrated(model)
    vit = model.config.vit
    stream = model.residual
    blocks = []
    for index, block in enumerate(model.blocks):
        assert isinstance(block, QuantBlock)
        try:
            blocks.append(_block(block, stream))
        except PqvError as error:
            raise PqvError(f"blocks.{index}: {error}") from error
        stream = block.residual2
    norm_step, pool = _real(stream.step), None
    if model.pool is not None:
        pool_step = _real(model.pool.quantizer.step)
        source = norm_step if vit.fc_norm else _real(model.norm.step)
        scale = fixed_point.weighted_mean_scale(float(source / pool_step))
        pool = WeightedMean(scale, model.pool.quantizer.bits)
        norm_step = pool_step if vit.fc_norm else norm_step
    head, head_scale = _head(model)
    integer = IntegerVisionTransformer(
        config=model.config,
        quantize=Quantize(model.patch_embed.quantizer.step.item()),
        patch_embed=_patch_embed(model),
        prefix=_prefix(model),
        blocks=blocks,
        norm=_layer_norm(model.norm, stream.exponent, float(norm_step)),
        pool=pool,
        head=head,
        dequantize=Dequantize(head_scale),
    )
    integer.checkpoint_sha256 = model.checkpoint_sha256
    return integer.eval()


def _real(tensor: Tensor) -> _Real:
    array: _Real = tensor.detach().cpu().double().numpy()
    return array


def _weights(linear: QuantLinear) -> NDArray[np.int8]:
    codes: NDArray[np.int8] = linear.quantizer.codes(linear.weight).to(torch.int8).cpu().numpy()
    return codes.T


def _accumulator(
    linear: QuantLinear, in_step: Tensor, zero_point: int = 0
) -> tuple[NDArray[np.int8], NDArray[np.int32], _Real]:
    """Weights [K, N], bias in accumulator steps with the zero point folded in, and those steps."""
    weights = _weights(linear)
    unit = _real(linear.quantizer.step).squeeze(1) * _real(in_step)
    bias = np.zeros_like(unit) if linear.bias is None else np.rint(_real(linear.bias) / unit)
    bias -= zero_point * weights.sum(0, dtype=np.int64)
    return weights, fixed_point.matmul_bias(bias), unit


def _matmul(linear: QuantLinear, in_step: Tensor, out_step: ArrayLike, y_bits: int) -> PackedMatMul:
    weights, bias, unit = _accumulator(linear, in_step)
    scale = fixed_point.requantizer(unit / np.asarray(out_step))
    return PackedMatMul(weights, bias, scale, linear.quantizer.bits, y_bits)


def _matmul_add(
    linear: QuantLinear,
    in_step: Tensor,
    residual_step: _Real,
    out: ResidualQuantizer,
    branch_scale: torch.nn.Module | None = None,
    zero_point: int = 0,
) -> PackedMatMulAdd:
    weights, bias, unit = _accumulator(linear, in_step, zero_point)
    if isinstance(branch_scale, LayerScale):
        unit = unit * _real(branch_scale.gamma)
    out_step = _real(out.channel_step)
    return PackedMatMulAdd(
        weights,
        bias,
        fixed_point.requantizer(unit / out_step),
        linear.quantizer.bits,
        out.bits,
        fixed_point.residual_multiplier(residual_step / out_step),
    )


def _layer_norm(norm: QuantLayerNorm, exponent: Tensor, in_step: float) -> LayerNorm:
    channels = norm.weight.shape[0]
    step = _real(norm.step)
    return LayerNorm(
        exponent.cpu().numpy(),
        fixed_point.layer_norm_scale(_real(norm.weight) / step),
        fixed_point.layer_norm_bias(_real(norm.bias) / step),
        fixed_point.layer_norm_epsilon(norm.eps, channels, in_step),
        norm.quantizer.bits,
    )


def _patch_embed(model: QuantVisionTransformer) -> IntegerPatchEmbed:
    embed = model.patch_embed
    positions = model.patch_positions().detach()
    # A coarser step than this saturates the residual stream whatever the codes are.
    step = torch.minimum(
        constant_step(positions), model.residual.channel_step * _LARGEST_RESIDUAL_RATIO
    )
    codes = (positions / step).round().clamp(-128, 127).to(torch.int8)
    proj = _matmul_add(embed.proj, embed.quantizer.step, _real(step), model.residual)
    return IntegerPatchEmbed(proj, codes, embed.patch_size)


def _prefix(model: QuantVisionTransformer) -> Tensor:
    prefix = model.prefix()
    if prefix is None:
        return torch.zeros(1, 0, model.config.vit.embed_dim, dtype=torch.int8)
    return model.residual.codes(prefix).to(torch.int8)


def _block(block: QuantBlock, stream: ResidualQuantizer) -> IntegerBlock:
    middle = block.residual1
    fc2 = _matmul_add(
        block.mlp.fc2,
        block.mlp.act.step,
        _real(middle.channel_step),
        block.residual2,
        block.ls2,
        block.mlp.act.quantizer.zero_point,
    )
    pre_gelu = block.mlp.act.input_quantizer
    fc1 = _matmul(block.mlp.fc1, block.norm2.step, _real(pre_gelu.step), pre_gelu.bits)
    return IntegerBlock(
        _layer_norm(block.norm1, stream.exponent, stream.step.item()),
        _attention(block, stream),
        _layer_norm(block.norm2, middle.exponent, middle.step.item()),
        IntegerMlp(fc1, Gelu(_gelu_table(block.mlp.act)), fc2),
    )


def _attention(block: QuantBlock, stream: ResidualQuantizer) -> IntegerAttention:
    attn = block.attn
    q, k, v = (_real(z.step) for z in (attn.q_quantizer, attn.k_quantizer, attn.v_quantizer))
    out_step = np.repeat([q, k, v], attn.proj.weight.shape[1])
    context_step = attn.quantizer.step
    return IntegerAttention(
        attn.num_heads,
        _matmul(attn.qkv, block.norm1.step, out_step, attn.q_quantizer.bits),
        Softmax2n(fixed_point.softmax_scale(float(q * k * attn.logit_scale)), attn.log2),
        WeightedMean(
            fixed_point.weighted_mean_scale(float(v / _real(context_step))), attn.quantizer.bits
        ),
        _matmul_add(
            attn.proj, context_step, _real(stream.channel_step), block.residual1, block.ls1
        ),
    )


def _gelu_table(act: QuantGelu) -> NDArray[np.int8]:
    """The training formula at each of the 256 inputs."""
    inputs = torch.arange(-128, 128, device=act.step.device) * act.input_quantizer.step
    table: NDArray[np.int8] = (
        act.quantizer.codes(act.activation(inputs)).to(torch.int8).cpu().numpy()
    )
    return table


def _head(model: QuantVisionTransformer) -> tuple[PackedMatMulToInt32, NDArray[np.float32]]:
    weights, bias, unit = _accumulator(model.head, model.head_step)
    return PackedMatMulToInt32(weights, bias), unit.astype(np.float32)
