"""IntMatMul at its longest sums."""

from __future__ import annotations

import numpy as np

from pqv_onnx.ops.domain import MAX_REDUCTION
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)


def test_longest_sums() -> None:
    ends = np.array([-128, 127], np.int8)
    rows = np.repeat(ends[:, None], MAX_REDUCTION, 1)
    inputs = {"A": rows, "B": rows}
    expected = np.outer(ends.astype(np.int32), ends.astype(np.int32)) * np.int32(MAX_REDUCTION)
    assert_same(run_torch("IntMatMul", inputs, {}), expected, "torch")
    assert_same(run_function("IntMatMul", inputs, {}), expected, "function")
    for isa in library_variants():
        assert_same(run_library("IntMatMul", inputs, {}, isa), expected, isa)
