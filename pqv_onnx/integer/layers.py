"""One small module per op of the domain ``pqv``: integer buffers and a single call."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pqv_onnx.integer.border  # noqa: F401
import pqv_onnx.ops.registry  # noqa: F401
from pqv_onnx.ops.domain import PACKED_LAYOUT
from pqv_onnx.packing import pack_weight

_OPS = torch.ops.pqv


def _buffer(module: nn.Module, name: str, array: NDArray[np.generic]) -> None:
    module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))


class Quantize(nn.Module):
    """The first border: float images to int8."""

    def __init__(self, scale: float) -> None:
        """Set the step of the output."""
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Quantize float32 ``x`` to int8."""
        out: Tensor = _OPS.quantize_linear(x, self.scale)
        return out


class Dequantize(nn.Module):
    """The last border: accumulators to float logits, or codes to a float embedding."""

    scale: Tensor

    def __init__(self, scale: NDArray[np.float32]) -> None:
        """Set the steps of the input's channels, [N]."""
        super().__init__()
        _buffer(self, "scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Dequantize int32 or int8 ``x`` [..., N] to float32."""
        out: Tensor = _OPS.dequantize_linear(x, self.scale)
        return out


class PackedMatMulToInt32(nn.Module):
    """PackedInt8MatMulToInt32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: NDArray[np.int8], bias: NDArray[np.int32], bits: int = 8) -> None:
        """Pack ``weight`` [K, N] and keep ``bias`` [N]."""
        super().__init__()
        self.bits = bits
        self.in_features, self.out_features = weight.shape
        _buffer(self, "weight", pack_weight(weight, bits))
        _buffer(self, "bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply int8 ``x`` [..., K] to int32 [..., N]."""
        out: Tensor = _OPS.packed_int8_matmul_to_int32(
            x, self.weight, self.bias, PACKED_LAYOUT, self.in_features, self.out_features
        )
        return out


class PackedMatMul(PackedMatMulToInt32):
    """PackedInt4MatMul or PackedInt8MatMul."""

    shift: Tensor
    multiplier: Tensor

    def __init__(
        self,
        weight: NDArray[np.int8],
        bias: NDArray[np.int32],
        requantizer: tuple[NDArray[np.int8], NDArray[np.int16]],
        bits: int,
        y_bits: int,
    ) -> None:
        """Pack ``weight`` [K, N] to ``bits``; keep ``bias`` and the requantizer, each [N]."""
        super().__init__(weight, bias, bits)
        self.y_bits = y_bits
        _buffer(self, "shift", requantizer[0])
        _buffer(self, "multiplier", requantizer[1])

    def forward(self, x: Tensor) -> Tensor:
        """Multiply int8 ``x`` [..., K] to int8 [..., N]."""
        matmul = _OPS.packed_int4_matmul if self.bits == 4 else _OPS.packed_int8_matmul
        out: Tensor = matmul(
            x,
            self.weight,
            self.bias,
            self.shift,
            self.multiplier,
            PACKED_LAYOUT,
            self.in_features,
            self.out_features,
            self.y_bits,
        )
        return out


class PackedMatMulAdd(PackedMatMul):
    """PackedInt4MatMulAdd or PackedInt8MatMulAdd."""

    residual_multiplier: Tensor
    added: Tensor | None

    def __init__(
        self,
        weight: NDArray[np.int8],
        bias: NDArray[np.int32],
        requantizer: tuple[NDArray[np.int8], NDArray[np.int16]],
        bits: int,
        y_bits: int,
        residual_multiplier: NDArray[np.int16],
        added: Tensor | None = None,
    ) -> None:
        """As ``PackedMatMul``, with the residual's multiplier [N].

        ``added``, int8 [1, ..., N], is the residual if it is a constant.
        """
        super().__init__(weight, bias, requantizer, bits, y_bits)
        _buffer(self, "residual_multiplier", residual_multiplier)
        self.register_buffer("added", added)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Multiply int8 ``x`` [..., K] and add int8 ``residual``, to int8 [..., N]."""
        matmul = _OPS.packed_int4_matmul_add if self.bits == 4 else _OPS.packed_int8_matmul_add
        out: Tensor = matmul(
            x,
            self.weight,
            self.bias,
            self.shift,
            self.multiplier,
            self.added if residual is None else residual,
            self.residual_multiplier,
            PACKED_LAYOUT,
            self.in_features,
            self.out_features,
            self.y_bits,
        )
        return out


class MatMul(nn.Module):
    """IntMatMul."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply int8 ``a`` [..., M, K] by ``b`` [..., N, K] transposed, to int32."""
        out: Tensor = _OPS.int_matmul(a, b)
        return out


class Softmax2n(nn.Module):
    """IntSoftmax2n."""

    def __init__(self, scale: tuple[int, int], log2: bool) -> None:
        """Set the (shift, multiplier) of the logits and the form of the weights."""
        super().__init__()
        self.shift, self.multiplier = scale
        self.log2 = int(log2)

    def forward(self, x: Tensor) -> Tensor:
        """Unnormalised weights, uint8, of int32 logits ``x`` [..., N]."""
        out: Tensor = _OPS.int_softmax2n(x, self.shift, self.multiplier, self.log2)
        return out


class Softmax2nBias(Softmax2n):
    """IntSoftmax2nBias."""

    position_bias: Tensor
    mask: Tensor

    def __init__(
        self,
        scale: tuple[int, int],
        log2: bool,
        bias: NDArray[np.int16],
        mask: NDArray[np.uint8],
    ) -> None:
        """As ``Softmax2n``, with a bias [H, M, N] and a mask [W, M, N] or [1, M, N]."""
        super().__init__(scale, log2)
        _buffer(self, "position_bias", bias)
        _buffer(self, "mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Unnormalised weights, uint8, of int32 logits ``x`` [..., W, H, M, N]."""
        out: Tensor = _OPS.int_softmax2n_bias(
            x, self.position_bias, self.mask, self.shift, self.multiplier, self.log2
        )
        return out


class WeightedMean(nn.Module):
    """IntWeightedMean."""

    def __init__(self, scale: tuple[int, int], y_bits: int) -> None:
        """Set the (shift, multiplier) between the steps of values and output."""
        super().__init__()
        self.shift, self.multiplier = scale
        self.y_bits = y_bits

    def forward(self, weights: Tensor, values: Tensor) -> Tensor:
        """Average int8 ``values`` [..., N, D] by uint8 ``weights`` [..., M, N], to int8."""
        out: Tensor = _OPS.int_weighted_mean(
            weights, values, self.shift, self.multiplier, self.y_bits
        )
        return out


class TokenMean(WeightedMean):
    """IntWeightedMean with equal weights."""

    token_weights: Tensor

    def __init__(self, scale: tuple[int, int], y_bits: int, tokens: int) -> None:
        """As ``WeightedMean``, of so many tokens."""
        super().__init__(scale, y_bits)
        self.register_buffer("token_weights", torch.ones(1, 1, tokens, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Average int8 ``x`` [B, T, C], to int8 [B, 1, C]."""
        return super().forward(self.token_weights.expand(x.shape[0], -1, -1), x)


class LayerNorm(nn.Module):
    """IntLayerNorm."""

    exponent: Tensor
    shift: Tensor
    multiplier: Tensor
    bias: Tensor

    def __init__(
        self,
        exponent: NDArray[np.int8],
        scale: tuple[NDArray[np.int8], NDArray[np.int16]],
        bias: NDArray[np.int16],
        epsilon: int,
        y_bits: int,
    ) -> None:
        """Keep the input's exponents, the (shift, multiplier) and the bias, each [C]."""
        super().__init__()
        self.epsilon, self.y_bits = epsilon, y_bits
        _buffer(self, "exponent", exponent)
        _buffer(self, "shift", scale[0])
        _buffer(self, "multiplier", scale[1])
        _buffer(self, "bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise int8 ``x`` [..., C] to int8."""
        out: Tensor = _OPS.int_layer_norm(
            x, self.exponent, self.shift, self.multiplier, self.bias, self.epsilon, self.y_bits
        )
        return out


class RmsNorm(nn.Module):
    """IntRMSNorm."""

    exponent: Tensor
    shift: Tensor
    multiplier: Tensor

    def __init__(
        self,
        exponent: NDArray[np.int8],
        scale: tuple[NDArray[np.int8], NDArray[np.int16]],
        epsilon: int,
        y_bits: int,
    ) -> None:
        """Keep the input's exponents and the (shift, multiplier), each [C]."""
        super().__init__()
        self.epsilon, self.y_bits = epsilon, y_bits
        _buffer(self, "exponent", exponent)
        _buffer(self, "shift", scale[0])
        _buffer(self, "multiplier", scale[1])

    def forward(self, x: Tensor) -> Tensor:
        """Normalise int8 ``x`` [..., C] to int8."""
        out: Tensor = _OPS.int_rms_norm(
            x, self.exponent, self.shift, self.multiplier, self.epsilon, self.y_bits
        )
        return out


class Add(nn.Module):
    """IntAdd."""

    a_multiplier: Tensor
    b_multiplier: Tensor
    added: Tensor | None

    def __init__(
        self,
        a_multiplier: NDArray[np.int16],
        b_multiplier: NDArray[np.int16],
        y_bits: int,
        added: Tensor | None = None,
    ) -> None:
        """Keep the multipliers of the two terms, each [C].

        ``added``, int8 [1, ..., C], is the second term if it is a constant.
        """
        super().__init__()
        self.y_bits = y_bits
        _buffer(self, "a_multiplier", a_multiplier)
        _buffer(self, "b_multiplier", b_multiplier)
        self.register_buffer("added", added)

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """Add int8 ``a`` [..., C] and ``b``, which may have ones in leading places, to int8."""
        other = self.added if b is None else b
        out: Tensor = _OPS.int_add(a, other, self.a_multiplier, self.b_multiplier, self.y_bits)
        return out


class Rotary(nn.Module):
    """IntRotary."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        cos: NDArray[np.int16],
        sin: NDArray[np.int16],
        pairs: bool,
        scale: tuple[int, int],
        y_bits: int,
    ) -> None:
        """Keep the tables, [H, N, D] or [1, N, D]; set what turns and the (shift, multiplier)."""
        super().__init__()
        self.pairs = int(pairs)
        self.shift, self.multiplier = scale
        self.y_bits = y_bits
        _buffer(self, "cos", cos)
        _buffer(self, "sin", sin)

    def forward(self, x: Tensor) -> Tensor:
        """Turn int8 ``x`` [..., H, N, D], to int8."""
        out: Tensor = _OPS.int_rotary(
            x, self.cos, self.sin, self.pairs, self.shift, self.multiplier, self.y_bits
        )
        return out


class Gate(nn.Module):
    """IntGate."""

    def __init__(self, zero_points: tuple[int, int], scale: tuple[int, int], y_bits: int) -> None:
        """Set the codes of the factors that mean 0 and the (shift, multiplier)."""
        super().__init__()
        self.zero_points = zero_points
        self.shift, self.multiplier = scale
        self.y_bits = y_bits

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply int8 ``a`` by ``b`` of the same shape, to int8."""
        out: Tensor = _OPS.int_gate(
            a, b, *self.zero_points, self.shift, self.multiplier, self.y_bits
        )
        return out


class Gelu(nn.Module):
    """IntGELU."""

    table: Tensor

    def __init__(self, table: NDArray[np.int8]) -> None:
        """Keep the table [256]; entry x + 128 is the output for x."""
        super().__init__()
        _buffer(self, "table", table)

    def forward(self, x: Tensor) -> Tensor:
        """Look up int8 ``x`` of any shape."""
        out: Tensor = _OPS.int_gelu(x, self.table)
        return out
