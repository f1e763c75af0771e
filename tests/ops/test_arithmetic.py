"""The shared arithmetic at its limits: torch and ONNX function against Python's integers."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pqv_onnx.ops import arithmetic
from pqv_onnx.ops.registry import function_protos
from tests.ops import oracle

USERS = ("IntLayerNorm", "IntWeightedMean", "PackedInt4MatMulAdd")


def run_math(name: str, *inputs: np.ndarray) -> np.ndarray:
    """One function of pqv.math on onnxruntime."""
    function = getattr(arithmetic, name).to_function_proto()
    node = onnx.helper.make_node(name, function.input, ["y"], domain=function.domain)
    values = [
        onnx.helper.make_tensor_value_info(
            value, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for value, array in zip(function.input, inputs, strict=True)
    ]
    output = onnx.ValueInfoProto(name="y")
    opsets = [onnx.helper.make_opsetid("", 19), onnx.helper.make_opsetid(function.domain, 1)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], name, values, [output]),
        opset_imports=opsets,
        functions=[f for f in function_protos(USERS) if f.domain == function.domain],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(function.input, inputs, strict=True)))[0]


def near_squares() -> np.ndarray:
    """n^2 - 1, n^2, n^2 + 1 and n^2 + 2n (the last with root n), over all magnitudes of n."""
    rng = np.random.default_rng(0)
    powers = np.array([2**i + d for i in range(24) for d in (-1, 0, 1)])
    n = np.concatenate([np.arange(1, 3000), powers, rng.integers(1, 2**24, 20000)])
    n = n[(n >= 1) & (n < 2**24)]
    values = np.concatenate([n * n - 1, n * n, n * n + 1, n * n + 2 * n, rng.integers(1, 2**48, 9)])
    return values[(values >= 1) & (values < 2**48)].astype(np.int64)


def test_integer_sqrt() -> None:
    values = near_squares()
    expected = np.array([math.isqrt(v) for v in values.tolist()])
    assert np.array_equal(run_math("IntegerSqrt", values[:, None])[:, 0], expected)
    assert np.array_equal(arithmetic.integer_sqrt(torch.from_numpy(values)).numpy(), expected)
    assert arithmetic.integer_sqrt(torch.tensor(0)) == 0


def test_bit_length_and_reciprocal() -> None:
    values = np.array([v for i in range(24) for v in (2**i - 1, 2**i, 2**i + 1) if 0 < v < 2**24])
    bits = np.array([v.bit_length() for v in values.tolist()], np.int32)
    pairs = zip(values.tolist(), bits.tolist(), strict=True)
    expected = np.array([oracle.reciprocal(v, e) for v, e in pairs], np.int32)
    assert np.array_equal(run_math("BitLength", values[:, None])[:, 0], bits)
    assert np.array_equal(run_math("Reciprocal", values, bits), expected)
    tensor = torch.from_numpy(values)
    assert np.array_equal(arithmetic.bit_length(tensor).numpy(), bits)
    assert np.array_equal(arithmetic.reciprocal(tensor, torch.from_numpy(bits)).numpy(), expected)


@pytest.mark.parametrize("shift", range(-15, 31))
def test_requantize_at_every_shift(shift: int) -> None:
    rng = np.random.default_rng(shift + 15)
    edges = np.array([s * (2**i) + d for i in range(30) for s in (-1, 1) for d in range(-2, 3)])
    edge = 2 ** (15 + shift) if shift < 15 else 2**30
    around = np.array([s * edge + d for s in (-1, 1) for d in range(-3, 4)])
    acc = np.concatenate([edges, around, rng.integers(-(2**30), 2**30, 300), [-(2**30), 2**30]])
    acc = acc.clip(-(2**30), 2**30).astype(np.int32)
    shifts = np.full_like(acc, shift)
    multipliers = rng.choice([-32767, -16384, -1, 0, 1, 16384, 32767], acc.size).astype(np.int32)
    pairs = zip(acc.tolist(), multipliers.tolist(), strict=True)
    expected = np.array([oracle.requantize(a, shift, m) for a, m in pairs], np.int32)
    assert np.array_equal(run_math("Requantize", acc, shifts, multipliers), expected)
    found = arithmetic.requantize(*map(torch.from_numpy, (acc, shifts, multipliers)))
    assert np.array_equal(found.numpy(), expected)


def test_two_shifts_are_one() -> None:
    """RequantizeNarrow rounds in one step what Requantize and Narrow round in two."""
    rng = np.random.default_rng(0)
    t = np.concatenate([np.arange(-32768, 32768), rng.integers(-32768, 32768, 2**16)])
    m = rng.choice([-32767, -20000, -1, 0, 3, 16384, 29999, 32767], t.size)
    u = (t * m + 2**14) >> 15
    assert np.array_equal((u + 32) >> 6, (t * m + 2**14 + 2**20) >> 21)
