"""The packed matmuls at the end of their ranges."""

from __future__ import annotations

import numpy as np
import pytest

from pqv_onnx.ops.domain import MAX_BIAS, MAX_REDUCTION, PACKED_LAYOUT
from pqv_onnx.packing import pack_weight
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("sign", [-1, 1])
def test_longest_sum_and_largest_bias(bits: int, sign: int) -> None:
    limit = 2 ** (bits - 1) - 1
    shifts = np.arange(-15, 31)
    n = shifts.size
    a = np.full((1, MAX_REDUCTION), -128, np.int8)
    w = np.full((MAX_REDUCTION, n), -sign * limit, np.int8)
    bias = np.full(n, sign * MAX_BIAS, np.int32)
    acc = sign * (128 * limit * MAX_REDUCTION + MAX_BIAS)
    t = [min(max((acc + (1 << s >> 1)) >> s if s > 0 else acc << -s, -(2**15)), 2**15 - 1)
         for s in shifts.tolist()]  # fmt: skip
    y = ((np.array(t) * 16384 + 2**14 >> 15) + 32 >> 6).clip(-128, 127).astype(np.int8)[None]
    inputs = {
        "A": a,
        "B": pack_weight(w, bits),
        "bias": bias,
        "shift": shifts.astype(np.int8),
        "multiplier": np.full(n, 16384, np.int16),
    }
    attributes = {"layout": PACKED_LAYOUT, "K": MAX_REDUCTION, "N": n, "y_bits": 8}
    name = f"PackedInt{bits}MatMul"
    assert_same(run_torch(name, inputs, attributes), y, "torch")
    assert_same(run_function(name, inputs, attributes), y, "function")
    for isa in library_variants():
        assert_same(run_library(name, inputs, attributes, isa), y, isa)


@pytest.mark.parametrize("bits", [4, 8])
def test_every_product_of_two_codes(bits: int) -> None:
    """Each pair of an activation and a weight, alone in its sum: none saturates on the way."""
    limit = 2 ** (bits - 1) - 1
    a = np.arange(-128, 128, dtype=np.int8)[:, None]
    w = np.arange(-limit, limit + 1, dtype=np.int8)[None]
    pair, n = np.concatenate([a, a], 1), w.size
    inputs = {
        "A": pair,
        "B": pack_weight(np.concatenate([w, w]), bits),
        "bias": np.zeros(n, np.int32),
        "shift": np.full(n, 1, np.int8),
        "multiplier": np.full(n, 32767, np.int16),
    }
    attributes = {"layout": PACKED_LAYOUT, "K": 2, "N": n, "y_bits": 8}
    product = a.astype(np.int32) * w
    y = ((product * 32767 + 2**14 >> 15) + 32 >> 6).clip(-128, 127).astype(np.int8)
    name = f"PackedInt{bits}MatMul"
    assert_same(run_torch(name, inputs, attributes), y, "torch")
    assert_same(run_function(name, inputs, attributes), y, "function")
