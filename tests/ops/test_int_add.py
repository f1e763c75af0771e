"""IntAdd: every pair of codes, and that it is the residual link of a packed matmul."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.domain import PACKED_LAYOUT
from pqv_onnx.ops.fixed_point import residual_multiplier
from pqv_onnx.packing import pack_weight
from tests.ops.oracle import int_add
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntAdd"
CODES = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("y_bits", [4, 8])
def test_every_pair_of_codes(y_bits: int) -> None:
    """Whatever the multipliers: nothing, ties of the rounding, saturated sums."""
    multipliers = np.array([0, 1, 4096, 8192, 12345, 32767], np.int16)
    a_multiplier, b_multiplier = (x.ravel() for x in np.meshgrid(multipliers, multipliers))
    shape = (256, 256, a_multiplier.size)
    inputs = {
        "A": np.broadcast_to(CODES[:, None, None], shape).copy(),
        "B": np.broadcast_to(CODES[:, None], (1, *shape[1:])).copy(),
        "a_multiplier": a_multiplier,
        "b_multiplier": b_multiplier,
    }
    attributes = {"y_bits": y_bits}
    y = run_torch(NAME, inputs, attributes)
    some = {**inputs, "A": inputs["A"][::51]}
    assert_same(y[::51], int_add(some, attributes), "torch")
    assert_same(run_function(NAME, inputs, attributes), y, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), y, isa)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.9])
def test_is_the_residual_link(ratio: float) -> None:
    """A matmul by one whose requantizer does what a_multiplier does: the same codes."""
    b = np.repeat(CODES, 256)[:, None]
    a = np.tile(CODES, 256)[:, None]
    multiplier = residual_multiplier([ratio])
    matmul = {
        "A": a,
        "B": pack_weight(np.ones((1, 1), np.int8), 8),
        "bias": np.zeros(1, np.int32),
        "shift": np.full(1, -8, np.int8),  # times 256
        "multiplier": np.full(1, 10000, np.int16),
        "residual": b,
        "residual_multiplier": multiplier,
    }
    attributes = {"y_bits": 8}
    packed = {"layout": PACKED_LAYOUT, "K": 1, "N": 1, **attributes}
    add = {"A": a, "B": b, "a_multiplier": matmul["multiplier"], "b_multiplier": multiplier}
    expected = run_torch("PackedInt8MatMulAdd", matmul, packed)
    assert_same(run_torch(NAME, add, attributes), expected, "torch")


def test_adds() -> None:
    """Within one output step of the real sum."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-40, 40, (2, 50, 30)).astype(np.int8)
    ratios = rng.uniform(0, 1.5, (2, 30))
    multipliers = [residual_multiplier(ratio) for ratio in ratios]
    inputs = {"A": a, "B": b, "a_multiplier": multipliers[0], "b_multiplier": multipliers[1]}
    y = run_torch(NAME, inputs, {"y_bits": 8})
    assert np.abs(y - (a * ratios[0] + b * ratios[1])).max() < 0.6
