"""IntWeightedMean at its longest sums and without any weight."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.domain import MAX_REDUCTION
from tests.ops.oracle import int_weighted_mean
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntWeightedMean"


@pytest.mark.parametrize("shift", [-16, -8, 7])
def test_longest_sums(shift: int) -> None:
    levels = np.array([0, 1, 128, 255], np.uint8)
    one = np.zeros((1, MAX_REDUCTION), np.uint8)
    one[0, -1] = 1
    w = np.concatenate([np.repeat(levels[:, None], MAX_REDUCTION, 1), one])
    v = np.repeat(np.array([[-128, 127, 1]], np.int8), MAX_REDUCTION, 0)
    inputs = {"W": w, "V": v}
    attributes = {"shift": shift, "multiplier": 32767, "y_bits": 8}
    expected = int_weighted_mean(inputs, attributes)
    assert_same(run_torch(NAME, inputs, attributes), expected, "torch")
    assert_same(run_function(NAME, inputs, attributes), expected, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), expected, isa)


def test_is_a_mean() -> None:
    """Ratio 1: within one step of the real mean."""
    rng = np.random.default_rng(0)
    w = rng.integers(0, 256, (20, 197)).astype(np.uint8)
    v = rng.integers(-128, 128, (197, 30)).astype(np.int8)
    attributes = {"shift": -8, "multiplier": 16384, "y_bits": 8}
    y = run_torch(NAME, {"W": w, "V": v}, attributes)
    real = w.astype(float) @ v / w.sum(-1, keepdims=True, dtype=float)
    assert np.abs(y - real).max() < 1
