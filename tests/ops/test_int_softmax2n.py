"""IntSoftmax2n over every distance from the maximum."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.oracle import int_softmax2n
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntSoftmax2n"
EVERY_LOGIT = np.arange(-32768, 32768, dtype=np.int32)[None]


@pytest.mark.parametrize("log2", [0, 1])
def test_every_distance(log2: int) -> None:
    inputs = {"X": EVERY_LOGIT}
    attributes = {"shift": 0, "multiplier": 32767, "log2": log2}
    # The oracle looks for the maximum once per element: give it a row of distinct logits.
    picked = np.unique(np.concatenate([np.arange(0, 65536, 97), np.arange(62900, 65536)]))
    expected = int_softmax2n({"X": EVERY_LOGIT[:, picked]}, attributes)
    y = run_torch(NAME, inputs, attributes)
    assert_same(y[:, picked], expected, "torch")
    assert_same(run_function(NAME, inputs, attributes), y, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), y, isa)


def test_uniform_is_a_power_of_two() -> None:
    """255 * 2^(-d / 256) within 0.2% and the rounding of the output."""
    attributes = {"shift": 0, "multiplier": 32767, "log2": 0}
    y = run_torch(NAME, {"X": EVERY_LOGIT}, attributes)[0].astype(np.float64)
    z = (EVERY_LOGIT[0].astype(np.float64) * 32767 / 2**15).round()
    real = 255 * 2.0 ** ((z - z.max()) / 256)
    assert np.all(np.abs(y - real) <= 0.002 * real + 1)
    assert y.max() == 255


@pytest.mark.parametrize("log2", [0, 1])
def test_extreme_logits(log2: int) -> None:
    ends = np.array([[-(2**30), 2**30, 0, 2**30 - 1], [-(2**30)] * 4, [2**30] * 4], np.int32)
    for shift in (-15, 0, 14, 15, 16, 30):
        attributes = {"shift": shift, "multiplier": 32767, "log2": log2}
        expected = int_softmax2n({"X": ends}, attributes)
        assert_same(run_torch(NAME, {"X": ends}, attributes), expected, "torch")
        assert_same(run_function(NAME, {"X": ends}, attributes), expected, "function")
        for isa in library_variants():
            assert_same(run_library(NAME, {"X": ends}, attributes, isa), expected, isa)
