"""IntRMSNorm at the end of its ranges, and as an L2 normalisation."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.fixed_point import layer_norm_epsilon, layer_norm_scale
from tests.ops.oracle import int_rms_norm
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntRMSNorm"


def parameters(channels: int, exponent: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(channels)
    return {
        "exponent": np.full(channels, exponent, np.int8),
        "shift": rng.integers(11, 16, channels).astype(np.int8),
        "multiplier": rng.integers(-32767, 32767, channels).astype(np.int16),
    }


@pytest.mark.parametrize("channels", [1, 2, 33, 768, 1023, 1024, 4095, 4096, 8192])
@pytest.mark.parametrize("epsilon", [0, 1, 2**46])
def test_extreme_rows(channels: int, epsilon: int) -> None:
    """Constant rows, of which zeros have no norm, and one outlier among zeros: sqrt(C) of them.

    At 1024 channels t is 2^15 there, the first to saturate; from 4096 on a sum of squares needs
    more than 32 bits.
    """
    outliers = [np.where(np.arange(channels) == channels // 2, v, 0) for v in (-128, 127)]
    rows = [np.full(channels, v) for v in (-128, 0, 1, 127)] + outliers
    attributes = {"epsilon": epsilon, "y_bits": 8}
    for exponent in (0, 3):
        inputs = {"X": np.stack(rows).astype(np.int8), **parameters(channels, exponent)}
        expected = int_rms_norm(inputs, attributes)
        assert_same(run_torch(NAME, inputs, attributes), expected, "torch")
        assert_same(run_function(NAME, inputs, attributes), expected, "function")
        for isa in library_variants():
            assert_same(run_library(NAME, inputs, attributes, isa), expected, isa)


@pytest.mark.parametrize("count", [*range(1, 5), *range(14, 20), 31, 32, 33, 65])
def test_any_number_of_rows(count: int) -> None:
    """Rows are normalised in blocks: each as if it were alone."""
    rng = np.random.default_rng(count)
    x = rng.integers(-128, 128, (count, 24)) >> rng.integers(0, 8, (count, 1))
    inputs = {"X": x.astype(np.int8), **parameters(24, 0)}
    attributes = {"epsilon": 5, "y_bits": 8}
    expected = int_rms_norm(inputs, attributes)
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), expected, isa)


@pytest.mark.parametrize("channels", [16, 24, 32, 64])
def test_is_an_l2_norm(channels: int) -> None:
    """Queries and keys of unit length: within one output step of the real ones."""
    rng = np.random.default_rng(channels)
    x = rng.integers(-128, 128, (100, channels)).astype(np.int8)
    step = 1 / 127
    shift, multiplier = layer_norm_scale(np.full(channels, channels**-0.5 / step))
    inputs = {
        "X": x,
        "exponent": np.zeros(channels, np.int8),
        "shift": shift,
        "multiplier": multiplier,
    }
    attributes = {"epsilon": layer_norm_epsilon(1e-12, channels, 0.03), "y_bits": 8}
    y = run_torch(NAME, inputs, attributes)
    real = x / np.linalg.norm(x.astype(float), axis=-1, keepdims=True) / step
    assert np.abs(y - real).max() < 0.6
