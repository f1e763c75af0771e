"""IntGate: every pair of codes at the ends of its ranges."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.fixed_point import gate_scale
from tests.ops.oracle import int_gate
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntGate"
PAIRS = np.stack(np.meshgrid(*[np.arange(-128, 128).astype(np.int8)] * 2))


@pytest.mark.parametrize("zero_points", [(-128, -128), (127, -128), (127, 127), (0, 0), (-101, 3)])
@pytest.mark.parametrize(("shift", "multiplier"), [(-15, 32767), (-7, 1), (0, 20000), (5, 32767)])
def test_every_pair_of_codes(zero_points: tuple[int, int], shift: int, multiplier: int) -> None:
    inputs = {"A": PAIRS[0], "B": PAIRS[1]}
    attributes = {
        "a_zero_point": zero_points[0],
        "b_zero_point": zero_points[1],
        "shift": shift,
        "multiplier": multiplier,
        "y_bits": 8,
    }
    y = run_torch(NAME, inputs, attributes)
    some = {name: array[::17] for name, array in inputs.items()}
    assert_same(y[::17], int_gate(some, attributes), "torch")
    assert_same(run_function(NAME, inputs, attributes), y, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), y, isa)


def test_is_a_product() -> None:
    """Within one output step of the real product."""
    shift, multiplier = gate_scale(0.03 * 0.05 / 0.4)
    attributes = {
        "a_zero_point": -120,
        "b_zero_point": 0,
        "shift": shift,
        "multiplier": multiplier,
        "y_bits": 8,
    }
    y = run_torch(NAME, {"A": PAIRS[0], "B": PAIRS[1]}, attributes)
    real = (PAIRS[0].astype(float) + 120) * 0.03 * PAIRS[1] * 0.05 / 0.4
    assert np.abs(y - real.clip(-128, 127)).max() < 0.6
