"""The torch ops: fakes, schemas and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import DOMAIN, OPS, PACKED_LAYOUT
from pqv_onnx.ops.registry import TORCH_OPS
from tests.ops.cases import Case, random_case
from tests.ops.single_op import assert_same, run_function, run_torch


@pytest.mark.parametrize("name", OPS)
def test_opcheck(name: str) -> None:
    case = random_case(name, 3, small=True)
    tensors = [torch.from_numpy(case.inputs[entry.name]) for entry in OPS[name].inputs]
    torch.library.opcheck(TORCH_OPS[name], tensors, case.attributes)


@pytest.mark.parametrize("name", OPS)
def test_schema_follows_the_table(name: str) -> None:
    schema = TORCH_OPS[name]._schema
    table = OPS[name]
    assert schema.name == f"{DOMAIN}::{table.torch_name}"
    expected = [entry.name for entry in table.inputs] + [entry.name for entry in table.attributes]
    assert [argument.name for argument in schema.arguments] == expected


@pytest.mark.parametrize("name", OPS)
def test_empty_batch(name: str) -> None:
    case = random_case(name, 1, small=True)
    empty = dict(case.inputs)
    for entry in OPS[name].inputs:
        if not entry.constant:  # what may be broadcast is one for every image of the batch
            shape = (1 if entry.broadcast else 0, *empty[entry.name].shape)
            empty[entry.name] = np.zeros(shape, entry.dtype)
    expected = run_torch(name, empty, case.attributes)
    assert expected.shape[0] == 0
    assert_same(run_function(name, empty, case.attributes), expected, "function")


def i8(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int8)


def i16(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int16)


PACKED = Case(
    "PackedInt4MatMulAdd",
    {
        "A": i8(2, 3, 5),
        "B": np.zeros((2, 2, 16), np.uint8),
        "bias": np.zeros(9, np.int32),
        "shift": i8(9),
        "multiplier": i16(9),
        "residual": i8(1, 3, 9),
        "residual_multiplier": i16(9),
    },
    {"layout": PACKED_LAYOUT, "K": 5, "N": 9, "y_bits": 8},
)
MATMUL = Case("IntMatMul", {"A": i8(2, 3, 5), "B": i8(2, 4, 5)}, {})
SOFTMAX = Case(
    "IntSoftmax2n", {"X": np.zeros((2, 3), np.int32)}, {"shift": 0, "multiplier": 1, "log2": 1}
)
BIAS = Case(
    "IntSoftmax2nBias",
    {
        "X": np.zeros((2, 3, 2, 4, 5), np.int32),
        "bias": i16(2, 4, 5),
        "mask": np.zeros((3, 4, 5), np.uint8),
    },
    {"shift": 0, "multiplier": 1, "log2": 1},
)
MEAN = Case(
    "IntWeightedMean",
    {"W": np.zeros((2, 3, 4), np.uint8), "V": i8(2, 4, 5)},
    {"shift": 0, "multiplier": 1, "y_bits": 8},
)
ATTENTION = Case(
    "IntAttention",
    {"QKV": i8(2, 4, 30)},
    {
        "num_heads": 2,
        "softmax_shift": 0,
        "softmax_multiplier": 1,
        "log2": 1,
        "mean_shift": 0,
        "mean_multiplier": 1,
        "y_bits": 8,
    },
)
WINDOWS = Case(
    "IntWindowAttention",
    {"QKV": i8(2, 4, 6, 30), "bias": i16(2, 6, 6), "mask": np.zeros((4, 6, 6), np.uint8)},
    {
        "window_height": 2,
        "window_width": 3,
        "roll_height": 1,
        "roll_width": 0,
        "softmax_shift": 0,
        "softmax_multiplier": 1,
        "log2": 1,
        "mean_shift": 0,
        "mean_multiplier": 1,
        "y_bits": 8,
    },
)
NORM = Case(
    "IntLayerNorm",
    {"X": i8(2, 5), "exponent": i8(5), "shift": i8(5), "multiplier": i16(5), "bias": i16(5)},
    {"epsilon": 0, "y_bits": 8},
)
RMS = Case(
    "IntRMSNorm",
    {"X": i8(2, 5), "exponent": i8(5), "shift": i8(5), "multiplier": i16(5)},
    {"epsilon": 0, "y_bits": 8},
)
MATMUL_GELU = Case(
    "PackedInt8MatMulGELU",
    {
        "A": i8(2, 3, 5),
        "B": np.zeros((2, 2, 32), np.int8),
        "bias": np.zeros(9, np.int32),
        "shift": i8(9),
        "multiplier": i16(9),
        "table": i8(1, 256),
    },
    {"layout": PACKED_LAYOUT, "K": 5, "N": 9},
)
GELU = Case("IntGELU", {"X": i8(2), "table": i8(1, 256)}, {})

ADD = Case(
    "IntAdd",
    {"A": i8(2, 3, 5), "B": i8(1, 3, 5), "a_multiplier": i16(5), "b_multiplier": i16(5)},
    {"y_bits": 8},
)

ROTARY = Case(
    "IntRotary",
    {"X": i8(2, 3, 4, 6), "cos": i16(3, 4, 6), "sin": i16(3, 4, 6)},
    {"pairs": 1, "shift": 0, "multiplier": 1, "y_bits": 8},
)
GATE = Case(
    "IntGate",
    {"A": i8(2, 3), "B": i8(2, 3)},
    {"a_zero_point": 0, "b_zero_point": 0, "shift": 0, "multiplier": 1, "y_bits": 8},
)


def full(shape: Any, value: int, dtype: str) -> np.ndarray:
    return np.full(shape, value, dtype)


ERRORS = [
    (PACKED, {"A": i8(2, 3, 6)}, "A must be int8 [..., K] with K = 5, found int8 [2, 3, 6]"),
    (PACKED, {"A": full((2, 3, 5), 0, "uint8")}, "A must be int8 [..., K], found uint8 [2, 3, 5]"),
    (PACKED, {"A": i8()}, "A must be int8 [..., K], found int8 []"),
    (PACKED, {"B": full((2, 3, 16), 0, "uint8")}, "with K/4 = 2, found uint8 [2, 3, 16]"),
    (PACKED, {"B": full((2, 2, 32), 0, "uint8")}, "found uint8 [2, 2, 32]"),
    (PACKED, {"B": full((2, 2, 16), 1, "uint8")}, "has padding that is not zero"),
    (PACKED, {"B": full((2, 2, 16), 8, "uint8")}, "must be in [-7, 7], found [-8, 0]"),
    (PACKED, {"bias": full(8, 0, "int32")}, "bias must be int32 [N] with N = 9, found int32 [8]"),
    (PACKED, {"bias": full((9, 1), 0, "int32")}, "bias must be int32 [N]"),
    (PACKED, {"bias": full(9, 2**29 + 1, "int32")}, "bias must be in [-536870912, 536870912]"),
    (PACKED, {"shift": full(9, 31, "int8")}, "shift must be in [-15, 30], found values in [31, 31"),
    (PACKED, {"shift": full(9, -16, "int8")}, "shift must be in [-15, 30]"),
    (PACKED, {"multiplier": full(9, -32768, "int16")}, "multiplier must be in [-32767, 32767]"),
    (PACKED, {"residual": i8(2, 1, 9)}, "with leading dimensions [2, 3] or ones at the front"),
    (
        PACKED,
        {"residual": i8(3, 9)},
        "residual must be int8 [..., N] with leading dimensions [2, 3",
    ),
    (PACKED, {"residual": i8(1, 1, 8)}, "residual must be int8 [..., N] with N = 9"),
    (PACKED, {"residual_multiplier": full(9, -1, "int16")}, "must be in [0, 32767]"),
    (PACKED, {"layout": "n8k4.v2"}, "layout must be 'n8k4.v1', found 'n8k4.v2'"),
    (PACKED, {"K": 6}, "A must be int8 [..., K] with K = 6, found int8 [2, 3, 5]"),
    (PACKED, {"N": 8}, "B must be uint8 [N/8, K/4, 16] with N/8 = 1, found uint8 [2, 2, 16]"),
    (
        PACKED,
        {"K": 0, "A": i8(2, 3, 0), "B": full((2, 0, 16), 0, "uint8")},
        "K must be in [1, 32768], found 0",
    ),
    (PACKED, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (MATMUL, {"B": i8(2, 4, 6)}, "B must be int8 [..., N, K] with K = 5, found int8 [2, 4, 6]"),
    (MATMUL, {"B": i8(1, 4, 5)}, "with leading dimensions [2], found int8 [1, 4, 5]"),
    (MATMUL, {"A": i8(2, 0, 32769), "B": i8(2, 0, 32769)}, "K must be in [0, 32768]"),
    (SOFTMAX, {"X": np.zeros((2, 3), np.int64)}, "X must be int32 [..., N], found int64 [2, 3]"),
    (SOFTMAX, {"shift": 31}, "shift must be in [-15, 30], found 31"),
    (SOFTMAX, {"multiplier": 0}, "multiplier must be in [1, 32767], found 0"),
    (SOFTMAX, {"log2": 2}, "log2 must be in [0, 1], found 2"),
    (BIAS, {"X": np.zeros((2, 4, 5), np.int32)}, "X must be int32 [..., W, H, M, N], found int32"),
    (BIAS, {"bias": i16(3, 4, 5)}, "bias must be int16 [H, M, N] with H = 2, found int16 [3, 4, 5"),
    (BIAS, {"bias": i16(1, 2, 4, 5)}, "bias must be int16 [H, M, N], found int16 [1, 2, 4, 5]"),
    (BIAS, {"mask": full((2, 4, 5), 0, "uint8")}, "mask must be uint8 [W or 1, M, N] with W = 3"),
    (BIAS, {"mask": full((1, 4, 6), 0, "uint8")}, "mask must be uint8 [W or 1, M, N] with N = 5"),
    (BIAS, {"shift": 31}, "shift must be in [-15, 30], found 31"),
    (MEAN, {"V": i8(2, 5, 5)}, "V must be int8 [..., N, D] with N = 4"),
    (MEAN, {"shift": 8}, "shift must be in [-16, 7], found 8"),
    (MEAN, {"multiplier": -1}, "multiplier must be in [1, 32767], found -1"),
    (ATTENTION, {"QKV": i8(30)}, "QKV must be int8 [..., T, C], found int8 [30]"),
    (ATTENTION, {"num_heads": 4}, "C must be a multiple of 3 * num_heads = 12, found 30"),
    (ATTENTION, {"num_heads": 0}, "num_heads must be in [1, 32768], found 0"),
    (ATTENTION, {"QKV": i8(32769, 0)}, "T must be in [0, 32768], found 32769"),
    (ATTENTION, {"QKV": i8(0, 6 * 32769)}, "C / (3 * num_heads) must be in [0, 32768]"),
    (ATTENTION, {"softmax_shift": 31}, "softmax_shift must be in [-15, 30], found 31"),
    (ATTENTION, {"softmax_multiplier": 0}, "softmax_multiplier must be in [1, 32767], found 0"),
    (ATTENTION, {"log2": 2}, "log2 must be in [0, 1], found 2"),
    (ATTENTION, {"mean_shift": 8}, "mean_shift must be in [-16, 7], found 8"),
    (ATTENTION, {"mean_multiplier": 0}, "mean_multiplier must be in [1, 32767], found 0"),
    (ATTENTION, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (WINDOWS, {"QKV": i8(4, 30)}, "QKV must be int8 [..., H, W, C], found int8 [4, 30]"),
    (WINDOWS, {"QKV": i8(4, 6, 20)}, "C must be a multiple of 3 * num_heads = 6, found 20"),
    (WINDOWS, {"QKV": i8(4, 7, 30)}, "H and W must be multiples of the window, 2 x 3, found 4 x 7"),
    (WINDOWS, {"QKV": i8(4, 3, 30)}, "mask must have 1 window or 2, found 4"),
    (WINDOWS, {"window_height": 4}, "T of bias must be window_height * window_width = 12, found 6"),
    (WINDOWS, {"window_width": 0}, "window_width must be in [1, 32768], found 0"),
    (WINDOWS, {"roll_height": 2}, "roll_height must be in [0, 1], found 2"),
    (WINDOWS, {"roll_width": -1}, "roll_width must be in [0, 2], found -1"),
    (WINDOWS, {"softmax_shift": 31}, "softmax_shift must be in [-15, 30], found 31"),
    (WINDOWS, {"log2": 2}, "log2 must be in [0, 1], found 2"),
    (WINDOWS, {"mean_multiplier": 0}, "mean_multiplier must be in [1, 32767], found 0"),
    (WINDOWS, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (NORM, {"exponent": full(5, 4, "int8")}, "exponent must be in [0, 3], found values in [4, 4]"),
    (NORM, {"exponent": i8(4)}, "exponent must be int8 [C] with C = 5, found int8 [4]"),
    (NORM, {"epsilon": -1}, "epsilon must be in [0, 70368744177664], found -1"),
    (NORM, {name: array[..., :0] for name, array in NORM.inputs.items()}, "C must be in [1, 8192]"),
    (NORM, {"y_bits": 16}, "y_bits must be in [4, 8], found 16"),
    (RMS, {"exponent": full(5, 4, "int8")}, "exponent must be in [0, 3], found values in [4, 4]"),
    (RMS, {"multiplier": i16(4)}, "multiplier must be int16 [C] with C = 5, found int16 [4]"),
    (RMS, {"epsilon": -1}, "epsilon must be in [0, 70368744177664], found -1"),
    (RMS, {name: array[..., :0] for name, array in RMS.inputs.items()}, "C must be in [1, 8192]"),
    (RMS, {"y_bits": 16}, "y_bits must be in [4, 8], found 16"),
    (GELU, {"table": i8(1, 255)}, "table must be int8 [G, 256], found int8 [1, 255]"),
    (GELU, {"table": i8(256)}, "table must be int8 [G, 256], found int8 [256]"),
    (GELU, {"table": i8(3, 256)}, "table has 3 tables, expected a divisor of 2 channels"),
    (GELU, {"table": i8(0, 256)}, "table has 0 tables, expected a divisor of 2 channels"),
    (ADD, {"A": i8(2, 3, 6)}, "B must be int8 [..., C] with C = 6, found int8 [1, 3, 5]"),
    (ADD, {"B": i8(2, 1, 5)}, "B must be int8 [..., C] with leading dimensions [2, 3] or ones at"),
    (ADD, {"B": i8(3, 5)}, "B must be int8 [..., C] with leading dimensions [2, 3] or ones at"),
    (ADD, {"B": i8(1, 1, 2, 3, 5)}, "or ones at the front of them, found int8 [1, 1, 2, 3, 5]"),
    (ADD, {"a_multiplier": i16(4)}, "a_multiplier must be int16 [C] with C = 5, found int16 [4]"),
    (ADD, {"a_multiplier": full(5, -1, "int16")}, "a_multiplier must be in [0, 32767]"),
    (ADD, {"b_multiplier": full(5, -1, "int16")}, "b_multiplier must be in [0, 32767]"),
    (ADD, {name: array[..., :0] for name, array in ADD.inputs.items()}, "C must be in [1, 167772"),
    (ADD, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (ROTARY, {"X": i8(4, 6)}, "X must be int8 [..., H, N, D], found int8 [4, 6]"),
    (ROTARY, {"X": i8(2, 4, 6)}, "cos must be int16 [H or 1, N or 1, D] with H = 2, found"),
    (ROTARY, {"cos": i16(1, 3, 6)}, "cos must be int16 [H or 1, N or 1, D] with N = 4"),
    (ROTARY, {"sin": i16(1, 4, 6)}, "sin must have cos's shape [3, 4, 6], found [1, 4, 6]"),
    (ROTARY, {"cos": full((3, 4, 6), 16385, "int16")}, "cos must be in [-16384, 16384]"),
    (ROTARY, {"sin": full((3, 4, 6), -16385, "int16")}, "sin must be in [-16384, 16384]"),
    (
        ROTARY,
        {"X": i8(3, 4, 5), "cos": i16(3, 4, 5), "sin": i16(3, 4, 5)},
        "D must be even, found 5",
    ),
    (ROTARY, {"pairs": 2}, "pairs must be in [0, 1], found 2"),
    (ROTARY, {"shift": 31}, "shift must be in [-15, 30], found 31"),
    (ROTARY, {"multiplier": 0}, "multiplier must be in [1, 32767], found 0"),
    (ROTARY, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (
        GATE,
        {"B": i8(1, 3)},
        "B must be int8 [...] with leading dimensions [2, 3], found int8 [1, 3",
    ),
    (GATE, {"a_zero_point": 128}, "a_zero_point must be in [-128, 127], found 128"),
    (GATE, {"b_zero_point": -129}, "b_zero_point must be in [-128, 127], found -129"),
    (GATE, {"shift": -16}, "shift must be in [-15, 30], found -16"),
    (GATE, {"multiplier": 32768}, "multiplier must be in [1, 32767], found 32768"),
    (GATE, {"y_bits": 9}, "y_bits must be in [4, 8], found 9"),
    (MATMUL_GELU, {"table": i8(1, 255)}, "table must be int8 [G, 256], found int8 [1, 255]"),
    (MATMUL_GELU, {"table": i8(5, 256)}, "table has 5 tables, expected a divisor of 9 channels"),
    (MATMUL_GELU, {"shift": full(9, 31, "int8")}, "shift must be in [-15, 30], found values"),
]


@pytest.mark.parametrize(("case", "changes", "message"), ERRORS)
def test_errors(case: Case, changes: Mapping[str, Any], message: str) -> None:
    run_torch(case.name, case.inputs, case.attributes)
    inputs = {name: changes.get(name, array) for name, array in case.inputs.items()}
    attributes = {name: changes.get(name, value) for name, value in case.attributes.items()}
    with pytest.raises(PqvError) as error:
        run_torch(case.name, inputs, attributes)
    text = str(error.value)
    assert text.startswith(f"{case.name}: ")
    assert message in text
    assert "\n" not in text


def test_fake_checks_shapes_too() -> None:
    with torch._subclasses.FakeTensorMode(), pytest.raises(PqvError, match="K = 5"):
        a, b = torch.zeros(2, 3, 5, dtype=torch.int8), torch.zeros(2, 4, 6, dtype=torch.int8)
        TORCH_OPS["IntMatMul"](a, b)
