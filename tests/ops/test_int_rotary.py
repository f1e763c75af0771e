"""IntRotary: the largest sums, tokens that stay, and that it turns as the real one does."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.fixed_point import rotary_scale, rotary_table
from tests.ops.oracle import int_rotary
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntRotary"


def assert_everywhere(inputs: dict[str, np.ndarray], attributes: dict[str, int]) -> np.ndarray:
    expected = int_rotary(inputs, attributes)
    assert_same(run_torch(NAME, inputs, attributes), expected, "torch")
    assert_same(run_function(NAME, inputs, attributes), expected, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), expected, isa)
    return expected


@pytest.mark.parametrize("pairs", [0, 1])
@pytest.mark.parametrize("depth", [2, 6, 16, 30, 64, 130])
@pytest.mark.parametrize("shift", [-15, 7, 10, 30])
def test_largest_sums(pairs: int, depth: int, shift: int) -> None:
    """Every sign of the largest terms, -128 among them, which has no negative in int8."""
    ends = np.random.default_rng(depth).choice([-1, 1], (3, 1, 40, depth))
    inputs = {
        "X": np.where(ends[0] > 0, 127, -128).astype(np.int8),
        "cos": (ends[1] * 2**14).astype(np.int16),
        "sin": (ends[2] * 2**14).astype(np.int16),
    }
    attributes = {"pairs": pairs, "shift": shift, "multiplier": 32767, "y_bits": 8}
    assert_everywhere(inputs, attributes)


@pytest.mark.parametrize("pairs", [0, 1])
def test_tokens_that_are_not_turned(pairs: int) -> None:
    """A cosine of 1 and a sine of 0 at a ratio of 1: the same codes."""
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 8, 32)
    shift, multiplier = rotary_scale(1.0)
    attributes = {"pairs": pairs, "shift": shift, "multiplier": multiplier, "y_bits": 8}
    inputs = {"X": x, "cos": rotary_table(np.ones(x.shape)), "sin": rotary_table(np.zeros(x.shape))}
    assert np.array_equal(assert_everywhere(inputs, attributes), x)


@pytest.mark.parametrize("pairs", [0, 1])
@pytest.mark.parametrize("tables", [1, 3])
def test_turns(pairs: int, tables: int) -> None:
    """Complex numbers, each times one of length 1, within an output step."""
    rng = np.random.default_rng(tables)
    x = rng.integers(-128, 128, (2, 3, 50, 24)).astype(np.int8)
    angle = rng.uniform(-np.pi, np.pi, (tables, 50, 12))
    order = (lambda v: np.repeat(v, 2, -1)) if pairs else (lambda v: np.concatenate([v, v], -1))
    shift, multiplier = rotary_scale(0.7)
    inputs = {
        "X": x,
        "cos": rotary_table(order(np.cos(angle))),
        "sin": rotary_table(order(np.sin(angle))),
    }
    attributes = {"pairs": pairs, "shift": shift, "multiplier": multiplier, "y_bits": 8}
    y = run_torch(NAME, inputs, attributes)

    def complex_of(v: np.ndarray) -> np.ndarray:
        v = v.astype(float)
        return v[..., ::2] + 1j * v[..., 1::2] if pairs else v[..., :12] + 1j * v[..., 12:]

    turned = complex_of(x) * np.exp(1j * angle) * 0.7
    difference = complex_of(y) - turned
    assert max(np.abs(difference.real).max(), np.abs(difference.imag).max()) < 0.6
