"""PackedInt4MatMul, PackedInt8MatMul, their Add and GELU forms and PackedInt8MatMulToInt32."""

from __future__ import annotations

import onnx
import torch
from onnxscript import INT8, INT16, INT32, UINT8, script
from onnxscript import opset19 as op

from pqv_onnx.ops.arithmetic import (
    Narrow,
    OffsetBinary,
    Requantize,
    RequantizeNarrow,
    ResidualLink,
    Sat16,
    exact_matmul,
    math,
    narrow,
    pqv,
    requantize,
    residual_link,
    sat16,
    scalar,
    vector,
)
from pqv_onnx.ops.int_gelu import IntGELU, check_groups, int_gelu
from pqv_onnx.ops.torch_op import torch_op
from pqv_onnx.packing import unpack_weight

# --- ONNX functions that the ops below share --------------------------------------------


@script(math, default_opset=op)
def UnpackPanels(panels: UINT8, K: int, N: int) -> UINT8:
    """[panel, group, 8 channels x 4] -> [K, N], the padding cut off."""
    k = op.Constant(value_int=K)
    n = op.Constant(value_int=N)
    one = op.Constant(value=vector([1]))
    tiles = op.Reshape(panels, op.Constant(value=vector([0, 0, 8, 4])))
    tiles = op.Transpose(tiles, perm=[1, 3, 0, 2])
    groups = op.Div(op.Add(k, op.Constant(value=vector([3]))), op.Constant(value=vector([4])))
    rows = op.Mul(groups, op.Constant(value=vector([4])))
    padded = op.Reshape(tiles, op.Concat(rows, op.Neg(one), axis=0))
    ends = op.Concat(op.Mul(k, one), op.Mul(n, one), axis=0)
    return op.Slice(padded, op.Constant(value=vector([0, 0])), ends)


@script(math, default_opset=op)
def UnpackInt4(B: UINT8, K: int, N: int) -> UINT8:
    """Packed int4 -> [K, N] plus 8: flipping the sign bit of a nibble adds 8."""
    low = op.BitwiseAnd(B, op.Constant(value=scalar(15, onnx.TensorProto.UINT8)))
    high = op.BitShift(B, op.Constant(value=scalar(4, onnx.TensorProto.UINT8)), direction="RIGHT")
    sign = op.Constant(value=scalar(8, onnx.TensorProto.UINT8))
    return UnpackPanels(op.BitwiseXor(op.Concat(low, high, axis=2), sign), K=K, N=N)


@script(math, default_opset=op)
def AccumulateInt4(A: INT8, B: UINT8, bias: INT32, K: int, N: int) -> INT32:
    """A times unpacked B, plus bias."""
    a_zero = op.Constant(value=scalar(128, onnx.TensorProto.UINT8))
    b_zero = op.Constant(value=scalar(8, onnx.TensorProto.UINT8))
    product = op.MatMulInteger(OffsetBinary(A), UnpackInt4(B, K=K, N=N), a_zero, b_zero)
    return op.Add(product, bias)


@script(math, default_opset=op)
def AccumulateInt8(A: INT8, B: INT8, bias: INT32, K: int, N: int) -> INT32:
    """A times unpacked B, plus bias."""
    zero = op.Constant(value=scalar(128, onnx.TensorProto.UINT8))
    weight = UnpackPanels(OffsetBinary(B), K=K, N=N)
    return op.Add(op.MatMulInteger(OffsetBinary(A), weight, zero, zero), bias)


@script(math, default_opset=op)
def NarrowChannels(acc: INT32, shift: INT8, multiplier: INT16, y_bits: int) -> INT8:
    """The epilogue: requantized per channel, narrowed."""
    wide_shift = op.Cast(shift, to=onnx.TensorProto.INT32)
    wide_multiplier = op.Cast(multiplier, to=onnx.TensorProto.INT32)
    return RequantizeNarrow(acc, wide_shift, wide_multiplier, y_bits=y_bits)


@script(math, default_opset=op)
def NarrowChannelsAdd(
    acc: INT32,
    shift: INT8,
    multiplier: INT16,
    residual: INT8,
    residual_multiplier: INT16,
    y_bits: int,
) -> INT8:
    """The epilogue with a residual: requantized per channel, residual added, narrowed."""
    wide_shift = op.Cast(shift, to=onnx.TensorProto.INT32)
    wide_multiplier = op.Cast(multiplier, to=onnx.TensorProto.INT32)
    u = Requantize(acc, wide_shift, wide_multiplier)
    r = ResidualLink(residual, residual_multiplier)
    return Narrow(Sat16(op.Add(u, r)), y_bits=y_bits)


# --- the ops as ONNX functions ----------------------------------------------------------


@script(pqv, default_opset=op)
def PackedInt4MatMul(
    A: INT8,
    B: UINT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    layout: str,
    K: int,
    N: int,
    y_bits: int = 8,
) -> INT8:
    """Activations times packed int4 weights, requantized."""
    return NarrowChannels(AccumulateInt4(A, B, bias, K=K, N=N), shift, multiplier, y_bits=y_bits)


@script(pqv, default_opset=op)
def PackedInt8MatMul(
    A: INT8,
    B: INT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    layout: str,
    K: int,
    N: int,
    y_bits: int = 8,
) -> INT8:
    """Activations times packed int8 weights, requantized."""
    return NarrowChannels(AccumulateInt8(A, B, bias, K=K, N=N), shift, multiplier, y_bits=y_bits)


@script(pqv, default_opset=op)
def PackedInt4MatMulAdd(
    A: INT8,
    B: UINT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    residual: INT8,
    residual_multiplier: INT16,
    layout: str,
    K: int,
    N: int,
    y_bits: int = 8,
) -> INT8:
    """Activations times packed int4 weights, requantized, plus a residual."""
    return NarrowChannelsAdd(
        AccumulateInt4(A, B, bias, K=K, N=N),
        shift,
        multiplier,
        residual,
        residual_multiplier,
        y_bits=y_bits,
    )


@script(pqv, default_opset=op)
def PackedInt8MatMulAdd(
    A: INT8,
    B: INT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    residual: INT8,
    residual_multiplier: INT16,
    layout: str,
    K: int,
    N: int,
    y_bits: int = 8,
) -> INT8:
    """Activations times packed int8 weights, requantized, plus a residual."""
    return NarrowChannelsAdd(
        AccumulateInt8(A, B, bias, K=K, N=N),
        shift,
        multiplier,
        residual,
        residual_multiplier,
        y_bits=y_bits,
    )


@script(pqv, default_opset=op)
def PackedInt4MatMulGELU(
    A: INT8,
    B: UINT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    table: INT8,
    layout: str,
    K: int,
    N: int,
) -> INT8:
    """IntGELU of activations times packed int4 weights, requantized."""
    x = PackedInt4MatMul(A, B, bias, shift, multiplier, layout=layout, K=K, N=N, y_bits=8)
    return IntGELU(x, table)


@script(pqv, default_opset=op)
def PackedInt8MatMulGELU(
    A: INT8,
    B: INT8,
    bias: INT32,
    shift: INT8,
    multiplier: INT16,
    table: INT8,
    layout: str,
    K: int,
    N: int,
) -> INT8:
    """IntGELU of activations times packed int8 weights, requantized."""
    x = PackedInt8MatMul(A, B, bias, shift, multiplier, layout=layout, K=K, N=N, y_bits=8)
    return IntGELU(x, table)


@script(pqv, default_opset=op)
def PackedInt8MatMulToInt32(A: INT8, B: INT8, bias: INT32, layout: str, K: int, N: int) -> INT32:
    """Activations times packed int8 weights, plus bias, as int32."""
    return AccumulateInt8(A, B, bias, K=K, N=N)


# --- the ops in torch -------------------------------------------------------------------


def _accumulate(
    A: torch.Tensor, B: torch.Tensor, bias: torch.Tensor, layout: str, K: int, N: int
) -> torch.Tensor:
    """``A · W + bias``, int32 [..., N]."""
    bits = 4 if B.dtype == torch.uint8 else 8
    weight = torch.from_numpy(unpack_weight(B.cpu().numpy(), K, N, bits))
    return exact_matmul(A, weight.to(A.device), 128 * 2 ** (bits - 1)) + bias


def _matmul(
    A: torch.Tensor,
    B: torch.Tensor,
    bias: torch.Tensor,
    shift: torch.Tensor,
    multiplier: torch.Tensor,
    layout: str,
    K: int,
    N: int,
    y_bits: int,
    residual: torch.Tensor | None = None,
    residual_multiplier: torch.Tensor | None = None,
) -> torch.Tensor:
    """``narrow(requantize(A · W + bias))``, the residual added where there is one."""
    acc = _accumulate(A, B, bias, layout, K, N)
    u = requantize(acc, shift.to(torch.int32), multiplier.to(torch.int32))
    if residual is not None and residual_multiplier is not None:
        u = sat16(u + residual_link(residual, residual_multiplier.to(torch.int32)))
    return narrow(u, y_bits)


def _matmul_gelu(
    A: torch.Tensor,
    B: torch.Tensor,
    bias: torch.Tensor,
    shift: torch.Tensor,
    multiplier: torch.Tensor,
    table: torch.Tensor,
    layout: str,
    K: int,
    N: int,
) -> torch.Tensor:
    """``int_gelu`` of what the plain matmul gives at 8 bits."""
    x = _matmul(A, B, bias, shift, multiplier, layout, K, N, y_bits=8)
    y: torch.Tensor = int_gelu(x, table)
    return y


def _check_gelu(table: torch.Tensor, N: int, **_: object) -> None:
    check_groups(N, len(table))


packed_int4_matmul = torch_op("PackedInt4MatMul")(_matmul)
packed_int4_matmul_add = torch_op("PackedInt4MatMulAdd")(_matmul)
packed_int4_matmul_gelu = torch_op("PackedInt4MatMulGELU", _check_gelu)(_matmul_gelu)
packed_int8_matmul = torch_op("PackedInt8MatMul")(_matmul)
packed_int8_matmul_add = torch_op("PackedInt8MatMulAdd")(_matmul)
packed_int8_matmul_gelu = torch_op("PackedInt8MatMulGELU", _check_gelu)(_matmul_gelu)
packed_int8_matmul_to_int32 = torch_op("PackedInt8MatMulToInt32")(_accumulate)
