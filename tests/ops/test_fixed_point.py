"""Real scales as shifts and multipliers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqv_onnx.errors import PqvError
from pqv_onnx.ops import fixed_point

seeded = settings(deadline=None, derandomize=True)
fractions = st.floats(0.5, 1.0)


def real(shift: object, multiplier: object, unit_bits: int) -> np.ndarray:
    return np.asarray(multiplier) / 2**15 * 2.0 ** -(np.asarray(shift, np.float64) + unit_bits)


@seeded
@given(fractions, st.integers(-36, 9), st.sampled_from([-1, 1]))
def test_requantizer_is_close(fraction: float, exponent: int, sign: int) -> None:
    scale = sign * math.ldexp(fraction, exponent)
    if abs(scale) * (1 + 2**-16) >= 2**9 or abs(scale) < 2**-37:
        return
    shift, multiplier = fixed_point.requantizer(scale)
    assert abs(real(shift, multiplier, 6) / scale - 1) <= 2**-15
    assert 2**14 <= abs(int(multiplier)) < 2**15
    assert -15 <= shift <= 30


def test_requantizer_of_an_array() -> None:
    scales = np.array([[1.0, -0.3, 0.0], [2.0**-20, 1 - 2**-20, 511.9]])
    shift, multiplier = fixed_point.requantizer(scales)
    assert (shift.dtype, multiplier.dtype) == (np.int8, np.int16)
    assert shift.shape == multiplier.shape == scales.shape
    assert (shift[0, 2], multiplier[0, 2]) == (0, 0)
    np.testing.assert_allclose(real(shift, multiplier, 6), scales, rtol=2**-15)


def test_rounding_up_renormalises() -> None:
    assert fixed_point.requantizer(1 - 2**-20) == (-7, 16384)
    assert fixed_point.requantizer(-(1 - 2**-20)) == (-7, -16384)


@seeded
@given(st.floats(0, 2**-36))
def test_small_scales_fade_out(scale: float) -> None:
    shift, multiplier = fixed_point.requantizer(scale)
    assert shift <= 30
    assert abs(real(shift, multiplier, 6) - scale) <= 2.0**-52


@pytest.mark.parametrize("scale", [512.0, -1e9, math.nan, math.inf, [1.0, math.nan]])
def test_requantizer_refuses(scale: object) -> None:
    with pytest.raises(PqvError, match="a scale must be"):
        fixed_point.requantizer(scale)


def test_layer_norm_scale() -> None:
    gamma = np.array([0.01, 1.0, -40.0, 1e-9, 0.0])
    shift, multiplier = fixed_point.layer_norm_scale(gamma)
    np.testing.assert_allclose(real(shift, multiplier, -18), gamma, rtol=2**-15, atol=2**-28)


@seeded
@given(st.floats(1e-9, 100))
def test_softmax_scale(scale: float) -> None:
    shift, multiplier = fixed_point.softmax_scale(scale)
    assert abs(real(shift, multiplier, 8) / scale - 1) <= 2**-15
    assert 1 <= multiplier < 2**15


@seeded
@given(st.floats(-63, 63), st.integers(2**14, 2**15 - 1))
def test_softmax_bias(bias: float, multiplier: int) -> None:
    unit = multiplier / 2**23
    found = fixed_point.softmax_bias([bias, 0.0], multiplier)
    assert found.dtype == np.int16
    assert abs(found[0] * unit - bias) <= unit / 2
    assert found[1] == 0


def test_softmax_bias_refuses() -> None:
    for bias in (64.1, -64.1):
        with pytest.raises(PqvError, match=r"a softmax bias must be in \[-64, 63.998\] log2 units"):
            fixed_point.softmax_bias([0.0, bias], 2**14)
    with pytest.raises(PqvError, match="a softmax bias must be finite"):
        fixed_point.softmax_bias(math.nan, 2**14)


@seeded
@given(st.floats(0.01, 500))
def test_weighted_mean_scale(ratio: float) -> None:
    shift, multiplier = fixed_point.weighted_mean_scale(ratio)
    assert -16 <= shift <= 7
    assert abs(real(shift, multiplier, 7) / ratio - 1) <= 2**-15


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, 1e9, 1e-30])
def test_single_scales_refuse(scale: float) -> None:
    with pytest.raises(PqvError, match="a scale must be"):
        fixed_point.softmax_scale(scale)
    with pytest.raises(PqvError, match="a scale must be"):
        fixed_point.weighted_mean_scale(scale)
    with pytest.raises(PqvError, match="a scale must be"):
        fixed_point.gate_scale(scale)
    with pytest.raises(PqvError, match="a scale must be"):
        fixed_point.rotary_scale(scale)


@seeded
@given(st.floats(1e-6, 500))
def test_gate_and_rotary_scales(scale: float) -> None:
    for found, unit_bits in (
        (fixed_point.gate_scale(scale), 6),
        (fixed_point.rotary_scale(scale), -8),
    ):
        shift, multiplier = found
        assert -15 <= shift <= 30
        assert abs(real(shift, multiplier, unit_bits) / scale - 1) <= 2**-15
        assert 2**14 <= multiplier < 2**15


def test_rotary_table() -> None:
    found = fixed_point.rotary_table([[-1.0, 0.0, 0.5, 1 + 1e-7]])
    assert found.dtype == np.int16
    assert found.tolist() == [[-16384, 0, 8192, 16384]]
    for value in (1.001, -1.001):
        with pytest.raises(PqvError, match=r"cosines and sines must be in \[-1, 1\], found"):
            fixed_point.rotary_table([0.0, value])
    with pytest.raises(PqvError, match="a rotary table must be finite"):
        fixed_point.rotary_table(math.nan)


def test_residual_multiplier() -> None:
    found = fixed_point.residual_multiplier([0.0, 0.125, 1.0, 3.9998])
    assert found.dtype == np.int16
    assert found.tolist() == [0, 1024, 8192, 32766]
    for ratio in (4.0, -0.1, math.nan):
        with pytest.raises(PqvError, match="a residual ratio must be"):
            fixed_point.residual_multiplier([1.0, ratio])


def test_biases() -> None:
    assert fixed_point.matmul_bias([0.4, -1.6, 2.0**29]).tolist() == [0, -2, 2**29]
    assert fixed_point.matmul_bias(0.0).dtype == np.int32
    assert fixed_point.layer_norm_bias([0.5, -512.0]).tolist() == [32, -32768]
    assert fixed_point.layer_norm_bias(0.0).dtype == np.int16
    with pytest.raises(PqvError, match="a matmul bias must be in"):
        fixed_point.matmul_bias(2.0**29 + 1)
    with pytest.raises(PqvError, match="a matmul bias must be finite"):
        fixed_point.matmul_bias(math.inf)
    with pytest.raises(PqvError, match="a LayerNorm bias must be in"):
        fixed_point.layer_norm_bias(512.0)


def test_layer_norm_epsilon() -> None:
    assert fixed_point.layer_norm_epsilon(1e-6, 192, 0.01) == round(1e-6 * 192**2 / 0.01**2)
    for arguments in [(1.0, 8192, 1e-6), (-1e-6, 192, 0.01), (math.nan, 192, 0.01)]:
        with pytest.raises(PqvError, match="epsilon"):
            fixed_point.layer_norm_epsilon(*arguments)
    with pytest.raises(PqvError, match="step of a LayerNorm's input must be positive"):
        fixed_point.layer_norm_epsilon(1e-6, 192, 0.0)
