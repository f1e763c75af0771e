"""How real scales become the integers of the ops: shifts, multipliers, biases.

A scale is a normalised 16-bit fraction and a power of two,

    scale = multiplier / 2^15 * 2^-(shift + unit_bits),    2^14 <= |multiplier| < 2^15,

rounded to the nearest multiplier, so that its relative error is at most 2^-15. `unit_bits`
says how many fraction bits the op's result has beyond its own step; each op has its own
(``docs/ops.md``). Rounding is to the nearest integer, ties to even. Imports no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import (
    FRACTION_BITS,
    LAYER_NORM_UNIT_BITS,
    MAX_BIAS,
    MAX_EPSILON,
    MAX_MEAN_SHIFT,
    MAX_MULTIPLIER,
    MAX_SHIFT,
    MIN_MEAN_SHIFT,
    MIN_SHIFT,
    ROTARY_TABLE_BITS,
    SOFTMAX_FRACTION_BITS,
)

_MEAN_UNIT_BITS = 7
_RESIDUAL_BITS = 13
_INT16 = np.iinfo(np.int16)

LAYER_NORM_BIASES = (_INT16.min / 2**FRACTION_BITS, _INT16.max / 2**FRACTION_BITS)
"""The least and the largest bias of an IntLayerNorm, in steps of its output."""


def requantizer(scale: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int16]]:
    """Shift and multiplier of the packed matmuls.

    Args:
        scale: Step of the accumulator / step of the output, real, any shape; negative and
            zero allowed.

    Returns:
        ``shift`` int8 and ``multiplier`` int16 of scale's shape, with
        ``scale = multiplier / 2^15 * 2^-(shift + 6)``. Zero becomes (0, 0). A scale too
        small for a normalised multiplier gets the largest shift and a smaller multiplier.

    Raises:
        PqvError: A scale is not finite or too large.
    """
    return _quantize(scale, FRACTION_BITS, MIN_SHIFT, MAX_SHIFT)


def layer_norm_scale(scale: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int16]]:
    """Shift and multiplier of IntLayerNorm and IntRMSNorm.

    Args:
        scale: gamma / step of the output, real [C], any sign; L2 normalisation is an RMSNorm
            with a gamma of 1 / sqrt(C).

    Returns:
        ``shift`` int8 and ``multiplier`` int16, with
        ``scale = multiplier / 2^15 * 2^(24 - shift - 6)``; zero and small ones as in
        `requantizer`.

    Raises:
        PqvError: A scale is not finite or too large.
    """
    return _quantize(scale, FRACTION_BITS - LAYER_NORM_UNIT_BITS, MIN_SHIFT, MAX_SHIFT)


def softmax_scale(scale: float) -> tuple[int, int]:
    """Attributes ``shift`` and ``multiplier`` of IntSoftmax2n.

    Args:
        scale: log2 units per unit of X, positive; 1/sqrt(d) and, for models trained with
            base e, log2(e) included.

    Returns:
        ``(shift, multiplier)`` with ``scale = multiplier / 2^15 * 2^-(shift + 8)``.

    Raises:
        PqvError: The scale is not finite, not positive, or out of the op's range.
    """
    return _positive(scale, SOFTMAX_FRACTION_BITS, MIN_SHIFT, MAX_SHIFT)


def softmax_bias(bias: ArrayLike, multiplier: int) -> NDArray[np.int16]:
    """Input ``bias`` of IntSoftmax2nBias.

    Args:
        bias: In log2 units, real, any shape.
        multiplier: Attribute ``multiplier`` of the op.

    Returns:
        int16 of bias's shape, ``round(bias * 2^23 / multiplier)``.

    Raises:
        PqvError: A bias is not finite or too large.
    """
    rounded = np.rint(_finite(bias, "softmax bias") / _bias_unit(multiplier))
    if np.any(rounded < _INT16.min) or np.any(rounded > _INT16.max):
        least, largest = softmax_biases(multiplier)
        raise PqvError(
            f"a softmax bias must be in [{least:.6g}, {largest:.6g}] log2 units, found "
            f"{_extent(bias)}"
        )
    return rounded.astype(np.int16)


def softmax_biases(multiplier: int) -> tuple[float, float]:
    """The least and the largest bias of an IntSoftmax2nBias, in log2 units."""
    unit = _bias_unit(multiplier)
    return _INT16.min * unit, _INT16.max * unit


def _bias_unit(multiplier: int) -> float:
    return multiplier / 2.0 ** (15 + SOFTMAX_FRACTION_BITS)


def weighted_mean_scale(ratio: float) -> tuple[int, int]:
    """Attributes ``shift`` and ``multiplier`` of IntWeightedMean.

    Args:
        ratio: Step of V / step of Y, positive.

    Returns:
        ``(shift, multiplier)`` with ``ratio = multiplier / 2^15 * 2^-(shift + 7)``.

    Raises:
        PqvError: The ratio is not finite, not positive, or out of the op's range.
    """
    return _positive(ratio, _MEAN_UNIT_BITS, MIN_MEAN_SHIFT, MAX_MEAN_SHIFT)


def gate_scale(scale: float) -> tuple[int, int]:
    """Attributes ``shift`` and ``multiplier`` of IntGate.

    Args:
        scale: Step of A * step of B / step of Y, positive.

    Returns:
        ``(shift, multiplier)`` with ``scale = multiplier / 2^15 * 2^-(shift + 6)``.

    Raises:
        PqvError: The scale is not finite, not positive, or out of the op's range.
    """
    return _positive(scale, FRACTION_BITS, MIN_SHIFT, MAX_SHIFT)


def rotary_scale(ratio: float) -> tuple[int, int]:
    """Attributes ``shift`` and ``multiplier`` of IntRotary.

    Args:
        ratio: Step of X / step of Y, positive.

    Returns:
        ``(shift, multiplier)`` with ``ratio = multiplier / 2^15 * 2^(14 - shift - 6)``.

    Raises:
        PqvError: The ratio is not finite, not positive, or out of the op's range.
    """
    return _positive(ratio, FRACTION_BITS - ROTARY_TABLE_BITS, MIN_SHIFT, MAX_SHIFT)


def rotary_table(values: ArrayLike) -> NDArray[np.int16]:
    """Inputs ``cos`` and ``sin`` of IntRotary.

    Args:
        values: Cosines or sines, real, in [-1, 1], any shape.

    Returns:
        int16 of values' shape, ``round(values * 2^14)``.

    Raises:
        PqvError: A value is not finite or beyond 1.
    """
    rounded = np.rint(_finite(values, "rotary table") * 2**ROTARY_TABLE_BITS)
    if np.any(np.abs(rounded) > 2**ROTARY_TABLE_BITS):
        raise PqvError(f"cosines and sines must be in [-1, 1], found {_extent(values)}")
    return rounded.astype(np.int16)


def residual_multiplier(ratio: ArrayLike) -> NDArray[np.int16]:
    """Input ``residual_multiplier`` of the packed matmuls, and the multipliers of IntAdd.

    Args:
        ratio: Step of what is added / step of the output, real [N], in [0, 4).

    Returns:
        int16 of ratio's shape, ``round(ratio * 2^13)``.

    Raises:
        PqvError: A ratio is not finite, negative, or too large.
    """
    rounded = np.rint(_finite(ratio, "residual ratio") * 2**_RESIDUAL_BITS)
    if np.any(rounded < 0) or np.any(rounded > MAX_MULTIPLIER):
        raise PqvError(f"a residual ratio must be in [0, 4), found {_extent(ratio)}")
    return rounded.astype(np.int16)


def matmul_bias(bias: ArrayLike) -> NDArray[np.int32]:
    """Input ``bias`` of the packed matmuls.

    Args:
        bias: In steps of the accumulator, real [N].

    Returns:
        int32 of bias's shape.

    Raises:
        PqvError: A bias is not finite or beyond 2^29 steps.
    """
    rounded = np.rint(_finite(bias, "matmul bias"))
    if np.any(np.abs(rounded) > MAX_BIAS):
        raise PqvError(
            f"a matmul bias must be in [-2^29, 2^29] accumulator steps, found {_extent(bias)}"
        )
    return rounded.astype(np.int32)


def layer_norm_bias(bias: ArrayLike) -> NDArray[np.int16]:
    """Input ``bias`` of IntLayerNorm.

    Args:
        bias: In steps of the output, real [C].

    Returns:
        int16 of bias's shape, ``round(bias * 2^6)``.

    Raises:
        PqvError: A bias is not finite or beyond 512 output steps.
    """
    rounded = np.rint(_finite(bias, "LayerNorm bias") * 2**FRACTION_BITS)
    if np.any(rounded < _INT16.min) or np.any(rounded > _INT16.max):
        raise PqvError(
            f"a LayerNorm bias must be in [-512, 512) output steps, found {_extent(bias)}"
        )
    return rounded.astype(np.int16)


def layer_norm_epsilon(epsilon: float, channels: int, step: float) -> int:
    """Attribute ``epsilon`` of IntLayerNorm and IntRMSNorm.

    Args:
        epsilon: Of the real norm, added to the variance or the mean square.
        channels: C, the length of the normalised axis.
        step: Step of the input's channels with exponent 0, positive.

    Returns:
        ``round(epsilon * channels^2 / step^2)``, in [0, 2^46].

    Raises:
        PqvError: The result is not finite or out of that range.
    """
    if not step > 0:
        raise PqvError(f"the step of a LayerNorm's input must be positive, found {step}")
    scaled = epsilon * (channels / step) ** 2
    if not 0 <= scaled <= MAX_EPSILON:
        raise PqvError(f"a LayerNorm's epsilon * C^2 / step^2 must be in [0, 2^46], found {scaled}")
    return int(np.rint(scaled))


def _quantize(
    scale: ArrayLike, unit_bits: int, min_shift: int, max_shift: int
) -> tuple[NDArray[np.int8], NDArray[np.int16]]:
    fraction, exponent = np.frexp(_finite(scale, "scale"))  # |fraction| in [1/2, 1)
    multiplier = np.rint(fraction * 2**15)
    carry = np.abs(multiplier) == 2**15
    multiplier = np.where(carry, multiplier / 2, multiplier)
    shift = -(exponent.astype(np.int64) + carry) - unit_bits
    # The multiplier of a too small scale is rounded once more, from the real fraction.
    excess = np.maximum(shift - max_shift, 0)
    small = np.rint(np.ldexp(fraction * 2**15, -excess - carry))
    multiplier = np.where(excess > 0, small, multiplier)
    shift = np.where(multiplier == 0, 0, np.minimum(shift, max_shift))
    if np.any(shift < min_shift):
        limit = MAX_MULTIPLIER / 2**15 * 2.0 ** -(min_shift + unit_bits)
        raise PqvError(f"a scale must be at most {limit:.6g}, found {_extent(scale)}")
    return shift.astype(np.int8), multiplier.astype(np.int16)


def _positive(scale: float, unit_bits: int, min_shift: int, max_shift: int) -> tuple[int, int]:
    if not scale > 0:
        raise PqvError(f"a scale must be positive, found {scale}")
    shift, multiplier = _quantize(scale, unit_bits, min_shift, max_shift)
    if multiplier == 0:
        limit = 2.0 ** -(max_shift + unit_bits + 15)
        raise PqvError(f"a scale must be at least {limit:.6g}, found {scale}")
    return int(shift), int(multiplier)


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if not np.all(np.isfinite(array)):
        raise PqvError(f"a {name} must be finite, found {_extent(values)}")
    return array


def _extent(values: ArrayLike) -> str:
    array = np.asarray(values, np.float64)
    return f"{array}" if array.ndim == 0 else f"values in [{array.min():.6g}, {array.max():.6g}]"
