"""IntLayerNorm at the end of its ranges."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.oracle import int_layer_norm
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntLayerNorm"


def parameters(channels: int, exponent: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(channels)
    return {
        "exponent": np.full(channels, exponent, np.int8),
        "shift": rng.integers(11, 16, channels).astype(np.int8),
        "multiplier": rng.integers(-32767, 32767, channels).astype(np.int16),
        "bias": rng.integers(-500, 500, channels).astype(np.int16),
    }


@pytest.mark.parametrize("channels", [1, 2, 33, 768, 8192])
@pytest.mark.parametrize("epsilon", [0, 1, 2**46])
def test_extreme_rows(channels: int, epsilon: int) -> None:
    """Constant rows, two-valued rows of the largest variance, one outlier, an empty variance."""
    alternating = np.where(np.arange(channels) % 2, 127, -128)
    outlier = np.where(np.arange(channels) == channels // 2, 127, 0)
    rows = [np.full(channels, v) for v in (-128, 0, 127)] + [alternating, -1 - alternating, outlier]
    inputs = {"X": np.stack(rows).astype(np.int8), **parameters(channels, 3)}
    attributes = {"epsilon": epsilon, "y_bits": 8}
    expected = int_layer_norm(inputs, attributes)
    assert_same(run_torch(NAME, inputs, attributes), expected, "torch")
    assert_same(run_function(NAME, inputs, attributes), expected, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), expected, isa)


def test_imitates_layer_norm() -> None:
    """The integers are a LayerNorm: within one output step of the float one."""
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (50, 192)).astype(np.int8)
    ones = np.ones(192)
    inputs = {
        "X": x,
        "exponent": np.zeros(192, np.int8),
        # One output step is 1/32 of a standard deviation: 2^(24 - shift - 6) / 2 = 32.
        "shift": (12 * ones).astype(np.int8),
        "multiplier": (16384 * ones).astype(np.int16),
        "bias": (0 * ones).astype(np.int16),
    }
    y = run_torch(NAME, inputs, {"epsilon": 0, "y_bits": 8})
    real = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) * 32
    assert np.abs(y - real).max() < 1
