"""Every way to break a node is an error whose one sentence names the op, the place and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest

from pqv_onnx.ops.domain import OPS
from tests.custom_ops.cases import small_inputs
from tests.custom_ops.models import constant_inputs, make_model, make_session, run

MATMUL = "PackedInt4MatMul"
MATMUL8 = "PackedInt8MatMul"
ADD = "PackedInt4MatMulAdd"
TO_INT32 = "PackedInt8MatMulToInt32"
BIAS = "IntSoftmax2nBias"
ATTENTION = "IntAttention"
WINDOWS = "IntWindowAttention"
ROTARY = "IntRotary"
GATE = "IntGate"


@dataclass(frozen=True)
class Broken:
    """A valid node of `op` with some inputs or attributes replaced, and what is said of it."""

    op: str
    sentence: str
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    """None removes an attribute."""
    put: tuple[str, tuple[int, ...], int] | None = None
    """An input, an index into it and the value to put there."""

    def __str__(self) -> str:
        return f"{self.op}: {self.sentence}"

    def make(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        inputs, attributes = small_inputs(self.op)
        inputs = {**inputs, **self.inputs}
        if self.put is not None:
            name, index, value = self.put
            inputs[name] = inputs[name].copy()
            inputs[name][index] = value
        attributes = {**attributes, **self.attributes}
        return inputs, {key: value for key, value in attributes.items() if value is not None}


def i8(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int8)


def u8(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def i16(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int16)


def i32(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.int32)


AT_CREATION = [
    # Attributes.
    Broken(MATMUL, 'attribute layout is "n8k4.v2", expected "n8k4.v1"', {}, {"layout": "n8k4.v2"}),
    Broken(MATMUL, 'attribute layout is "", expected "n8k4.v1"', {}, {"layout": ""}),
    Broken(MATMUL, "attribute layout has 5000 characters", {}, {"layout": "n" * 5000}),
    Broken(MATMUL, "attribute layout is missing", {}, {"layout": None}),
    Broken(MATMUL, "attribute layout is no string", {}, {"layout": 1}),
    Broken(MATMUL, "attribute K is missing, expected an integer in [1, 32768]", {}, {"K": None}),
    Broken(MATMUL, "attribute K is no integer", {}, {"K": "5"}),
    Broken(MATMUL, "attribute K is no integer", {}, {"K": 5.0}),
    Broken(MATMUL, "attribute K is no integer", {}, {"K": [5]}),
    Broken(MATMUL, "attribute K is 0, expected [1, 32768]", {}, {"K": 0}),
    Broken(MATMUL, "attribute K is 32769, expected [1, 32768]", {}, {"K": 32769}),
    Broken(MATMUL, "attribute N is -6, expected [1, 16777216]", {}, {"N": -6}),
    Broken(MATMUL, "attribute N is 9223372036854775807", {}, {"N": 2**63 - 1}),
    Broken(MATMUL, "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(MATMUL, "attribute y_bits is 0, expected", {}, {"y_bits": 0}),
    Broken(MATMUL, "attribute y_bits is no integer", {}, {"y_bits": "8"}),
    Broken(MATMUL, "attribute y_bits is no integer", {}, {"y_bits": 8.0}),
    Broken(MATMUL, "attribute y_bits is no integer", {}, {"y_bits": [8, 4]}),
    Broken("IntSoftmax2n", "attribute shift is 31, expected [-15, 30]", {}, {"shift": 31}),
    Broken("IntSoftmax2n", "attribute multiplier is 0, expected [1, 3", {}, {"multiplier": 0}),
    Broken("IntSoftmax2n", "attribute multiplier is missing", {}, {"multiplier": None}),
    Broken("IntSoftmax2n", "attribute log2 is 2, expected [0, 1]", {}, {"log2": 2}),
    Broken(BIAS, "attribute multiplier is missing", {}, {"multiplier": None}),
    Broken(BIAS, "input bias has shape [49, 99], expected 3 dim", {"bias": i16(49, 99)}),
    Broken(BIAS, "input mask has shape [49, 99], expected 3 dim", {"mask": u8(49, 99)}),
    Broken(
        BIAS,
        "input mask has shape [3, 49, 98], expected the last two of input bias, [2, 49, 99]",
        {"mask": u8(3, 49, 98)},
    ),
    Broken(BIAS, "input mask has shape [3, 48, 99], expected the", {"mask": u8(3, 48, 99)}),
    Broken("IntWeightedMean", "attribute shift is 8, expected [-16, 7]", {}, {"shift": 8}),
    Broken("IntWeightedMean", "attribute shift is -17, expected [-16", {}, {"shift": -17}),
    Broken("IntWeightedMean", "attribute multiplier is 32768", {}, {"multiplier": 32768}),
    Broken("IntWeightedMean", "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(ATTENTION, "attribute num_heads is 0, expected [1, 32768]", {}, {"num_heads": 0}),
    Broken(ATTENTION, "attribute num_heads is missing", {}, {"num_heads": None}),
    Broken(ATTENTION, "attribute softmax_shift is 31, expected [-15", {}, {"softmax_shift": 31}),
    Broken(ATTENTION, "attribute softmax_multiplier is 0", {}, {"softmax_multiplier": 0}),
    Broken(ATTENTION, "attribute log2 is 2, expected [0, 1]", {}, {"log2": 2}),
    Broken(ATTENTION, "attribute mean_shift is 8, expected [-16, 7]", {}, {"mean_shift": 8}),
    Broken(ATTENTION, "attribute mean_multiplier is 0", {}, {"mean_multiplier": 0}),
    Broken(ATTENTION, "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(WINDOWS, "attribute window_height is 0, expected [1, 327", {}, {"window_height": 0}),
    Broken(WINDOWS, "attribute roll_height is 7, expected [0, 6]", {}, {"roll_height": 7}),
    Broken(WINDOWS, "attribute roll_width is -1, expected [0, 6]", {}, {"roll_width": -1}),
    Broken(WINDOWS, "attribute softmax_shift is 31, expected [-15", {}, {"softmax_shift": 31}),
    Broken(WINDOWS, "attribute log2 is missing", {}, {"log2": None}),
    Broken(WINDOWS, "attribute mean_multiplier is 0", {}, {"mean_multiplier": 0}),
    Broken(WINDOWS, "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(
        WINDOWS,
        "attributes window_height and window_width give 32774 tokens, expected at most 32768",
        {},
        {"window_height": 4682},
    ),
    Broken(WINDOWS, "input bias has shape [2, 49, 48], expected 49 in", {"bias": i16(2, 49, 48)}),
    Broken(WINDOWS, "input bias has shape [0, 49, 49], expected at", {"bias": i16(0, 49, 49)}),
    Broken(
        WINDOWS,
        "input mask has shape [1, 49, 9], expected the last two of input bias, [2, 49, 49]",
        {"mask": u8(1, 49, 9)},
    ),
    Broken("IntLayerNorm", "attribute epsilon is -1, expected [0, 7", {}, {"epsilon": -1}),
    Broken("IntLayerNorm", "attribute epsilon is 70368744177665", {}, {"epsilon": 2**46 + 1}),
    Broken("IntLayerNorm", "attribute epsilon is missing", {}, {"epsilon": None}),
    Broken("IntRMSNorm", "attribute epsilon is -1, expected [0, 7", {}, {"epsilon": -1}),
    Broken("IntRMSNorm", "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken("IntAdd", "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(ROTARY, "attribute pairs is 2, expected [0, 1]", {}, {"pairs": 2}),
    Broken(ROTARY, "attribute pairs is missing", {}, {"pairs": None}),
    Broken(ROTARY, "attribute shift is 31, expected [-15, 30]", {}, {"shift": 31}),
    Broken(ROTARY, "attribute multiplier is 0, expected [1, 32767]", {}, {"multiplier": 0}),
    Broken(ROTARY, "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    Broken(GATE, "attribute a_zero_point is 128, expected [-128, 127]", {}, {"a_zero_point": 128}),
    Broken(GATE, "attribute b_zero_point is -129, expected [-128", {}, {"b_zero_point": -129}),
    Broken(GATE, "attribute a_zero_point is missing", {}, {"a_zero_point": None}),
    Broken(GATE, "attribute shift is -16, expected [-15, 30]", {}, {"shift": -16}),
    Broken(GATE, "attribute multiplier is 32768", {}, {"multiplier": 32768}),
    Broken(GATE, "attribute y_bits is 3, expected [4, 8]", {}, {"y_bits": 3}),
    # Shapes of constants.
    Broken(MATMUL, "input B has shape [1, 2, 15], expected [1, 2, 16]", {"B": u8(1, 2, 15)}),
    Broken(MATMUL, "input B has shape [2, 2, 16], expected [1, 2, 16]", {"B": u8(2, 2, 16)}),
    Broken(MATMUL, "input B has shape [32], expected [1, 2, 16]", {"B": u8(32)}),
    Broken(MATMUL, "input B has shape [], expected [1, 2, 16]", {"B": u8()}),
    Broken(MATMUL, "input B has 17 dimensions, expected at most 16", {"B": u8(*[1] * 17)}),
    Broken(MATMUL8, "input B has shape [1, 2, 16], expected [1, 2, 32]", {"B": i8(1, 2, 16)}),
    Broken(MATMUL, "input B has shape [1, 2, 16], expected [1, 8192, 16]", {}, {"K": 32768}),
    Broken(MATMUL, "input B has shape [1, 2, 16], expected [2097152, 2, 16]", {}, {"N": 2**24}),
    Broken(MATMUL, "input bias has shape [5], expected [6]", {"bias": i32(5)}),
    Broken(MATMUL, "input shift has shape [7], expected [6]", {"shift": i8(7)}),
    Broken(MATMUL, "input multiplier has shape [6, 1]", {"multiplier": i16(6, 1)}),
    Broken(
        ADD,
        "input residual_multiplier has shape [0], expected [6]",
        {"residual_multiplier": i16(0)},
    ),
    Broken("IntLayerNorm", "input exponent has shape [0], expected one dim", {"exponent": i8(0)}),
    Broken("IntLayerNorm", "input exponent has shape [7, 1]", {"exponent": i8(7, 1)}),
    Broken("IntLayerNorm", "input exponent has shape [8193]", {"exponent": i8(8193)}),
    Broken("IntLayerNorm", "input shift has shape [6], expected [7]", {"shift": i8(6)}),
    Broken("IntLayerNorm", "input bias has shape [8], expected [7]", {"bias": i16(8)}),
    Broken("IntRMSNorm", "input exponent has shape [8193]", {"exponent": i8(8193)}),
    Broken("IntRMSNorm", "input multiplier has shape [6], expe", {"multiplier": i16(6)}),
    Broken("IntGELU", "input table has shape [256], expected 2 dimensions", {"table": i8(256)}),
    Broken("IntGELU", "input table has shape [7, 255], expected [7, 256]", {"table": i8(7, 255)}),
    Broken("IntGELU", "input table has shape [0, 256], expected [1, 256]", {"table": i8(0, 256)}),
    Broken("IntAdd", "input a_multiplier has shape [0], expected one", {"a_multiplier": i16(0)}),
    Broken("IntAdd", "input a_multiplier has shape [7, 1]", {"a_multiplier": i16(7, 1)}),
    Broken("IntAdd", "input b_multiplier has shape [8], expected [7]", {"b_multiplier": i16(8)}),
    Broken(ROTARY, "input cos has shape [1301, 22], expected 3 dim", {"cos": i16(1301, 22)}),
    Broken(ROTARY, "input cos has shape [1, 2, 3], expected an even num", {"cos": i16(1, 2, 3)}),
    Broken(
        ROTARY,
        "input sin has shape [1, 1301, 22], expected [3, 1301, 22]",
        {"sin": i16(1, 1301, 22)},
    ),
    Broken(
        "PackedInt4MatMulGELU",
        "input table has shape [2, 257], expected [2, 256]",
        {"table": i8(2, 257)},
    ),
    Broken(
        "PackedInt4MatMulGELU",
        "input table has 4 tables, expected a divisor of N = 6",
        {"table": i8(4, 256)},
    ),
    # Values of constants.
    Broken(
        MATMUL,
        "input bias is 536870913 at 5, expected [-536870912, 536870912]",
        put=("bias", (5,), 2**29 + 1),
    ),
    Broken(MATMUL, "input shift is 31 at 0, expected [-15, 30]", put=("shift", (0,), 31)),
    Broken(MATMUL, "input shift is -16 at 0, expected [-15, 30]", put=("shift", (0,), -16)),
    Broken(MATMUL, "input multiplier is -32768 at 2", put=("multiplier", (2,), -32768)),
    Broken(
        ADD,
        "input residual_multiplier is -1 at 3, expected [0, 32767]",
        put=("residual_multiplier", (3,), -1),
    ),
    Broken(
        MATMUL,
        "input B has weight -8 at k = 4, n = 0, expected [-7, 7]",
        put=("B", (0, 1, 0), 0x08),
    ),
    Broken(
        MATMUL,
        "input B has weight -8 at k = 4, n = 4, expected [-7, 7]",
        put=("B", (0, 1, 0), 0x80),
    ),
    Broken(MATMUL, "input B has padding 1 at k = 5, n = 0, expected 0", put=("B", (0, 1, 1), 0x01)),
    Broken(MATMUL, "input B has padding 1 at k = 0, n = 6, expected 0", put=("B", (0, 0, 8), 0x11)),
    Broken(
        MATMUL8,
        "input B has weight -128 at k = 3, n = 5, expected [-127, 127]",
        put=("B", (0, 0, 23), -128),
    ),
    Broken(
        MATMUL8, "input B has padding -128 at k = 7, n = 7, expected 0", put=("B", (0, 1, 31), -128)
    ),
    Broken(TO_INT32, "input bias is -536870913 at 0", put=("bias", (0,), -(2**29) - 1)),
    Broken("IntLayerNorm", "input exponent is 4 at 6, expected [0, 3]", put=("exponent", (6,), 4)),
    Broken(
        "IntLayerNorm", "input exponent is -1 at 6, expected [0, 3]", put=("exponent", (6,), -1)
    ),
    Broken("IntLayerNorm", "input multiplier is -32768 at 1", put=("multiplier", (1,), -32768)),
    Broken("IntRMSNorm", "input exponent is 4 at 6, expected [0, 3]", put=("exponent", (6,), 4)),
    Broken("IntRMSNorm", "input shift is 31 at 0, expected [-15, 30]", put=("shift", (0,), 31)),
    Broken("IntAdd", "input a_multiplier is -1 at 6, expected [0", put=("a_multiplier", (6,), -1)),
    Broken("IntAdd", "input b_multiplier is -9 at 0, expected [0", put=("b_multiplier", (0,), -9)),
    Broken(ROTARY, "input cos is 16385 at 23, expected [-163", put=("cos", (0, 1, 1), 16385)),
    Broken(ROTARY, "input sin is -16385 at 85865, expect", put=("sin", (2, 1300, 21), -16385)),
]

AT_RUN = [
    Broken(MATMUL, "input A has shape [2, 6], expected 5 in dimension 1", {"A": i8(2, 6)}),
    Broken(MATMUL, "input A has shape [5, 0], expected 5 in dimension 1", {"A": i8(5, 0)}),
    Broken(MATMUL, "input A has shape [], expected at least 1 dimensions", {"A": i8()}),
    Broken(MATMUL, "input A has 17 dimensions, expected at most 16", {"A": i8(*[1] * 16, 5)}),
    Broken(ADD, "input residual has shape [3, 6], expected [2, 6]", {"residual": i8(3, 6)}),
    Broken(ADD, "input residual has shape [2, 5], expected [2, 6]", {"residual": i8(2, 5)}),
    Broken(ADD, "input residual has shape [2, 1], expected [2, 6]", {"residual": i8(2, 1)}),
    Broken(ADD, "input residual has shape [6], expected [2, 6]", {"residual": i8(6)}),
    Broken(ADD, "input residual has shape [1, 2, 6], expected [2, 6]", {"residual": i8(1, 2, 6)}),
    Broken(ADD, "input residual has shape [0, 6], expected [2, 6]", {"residual": i8(0, 6)}),
    Broken(
        ADD,
        "input residual has shape [3, 1, 6], expected [3, 2, 6] with 1 in leading",
        {"A": i8(3, 2, 5), "residual": i8(3, 1, 6)},
    ),
    Broken("IntMatMul", "input A has shape [4], expected at least 2", {"A": i8(4)}),
    Broken(
        "IntMatMul",
        "input B has shape [2, 5], expected 4 in dimension 1",
        {"A": i8(3, 4), "B": i8(2, 5)},
    ),
    Broken(
        "IntMatMul",
        "input B has shape [2, 4], expected the leading dimensions of input A, [1, 3, 4]",
        {"A": i8(1, 3, 4), "B": i8(2, 4)},
    ),
    Broken(
        "IntMatMul",
        "input B has shape [2, 3, 4], expected the leading",
        {"A": i8(1, 3, 4), "B": i8(2, 3, 4)},
    ),
    Broken(
        "IntMatMul",
        "input A has shape [1, 32769], expected K of at most 32768",
        {"A": i8(1, 32769), "B": i8(1, 32769)},
    ),
    Broken("IntSoftmax2n", "input X has shape [], expected at least 1", {"X": i32()}),
    Broken(BIAS, "input X has shape [2, 49, 99], expected at least 4", {"X": i32(2, 49, 99)}),
    Broken(
        BIAS,
        "input X has shape [4, 2, 49, 99], expected 3 in dimension 0",
        {"X": i32(4, 2, 49, 99)},
    ),
    Broken(
        BIAS,
        "input X has shape [3, 3, 49, 99], expected 2 in dimension 1",
        {"X": i32(3, 3, 49, 99)},
    ),
    Broken(
        BIAS,
        "input X has shape [3, 2, 48, 99], expected 49 in dimension 2",
        {"X": i32(3, 2, 48, 99)},
    ),
    Broken(
        BIAS,
        "input X has shape [3, 2, 49, 98], expected 99 in dimension 3",
        {"X": i32(3, 2, 49, 98)},
    ),
    Broken(
        "IntWeightedMean",
        "input V has shape [5, 3], expected 4 in dimension 0",
        {"W": u8(2, 4), "V": i8(5, 3)},
    ),
    Broken(
        "IntWeightedMean",
        "input W has shape [1, 32769], expected N of at most 32768",
        {"W": u8(1, 32769), "V": i8(32769, 1)},
    ),
    Broken(
        "IntWeightedMean", "input V has shape [4], expected at least 2", {"W": u8(2, 4), "V": i8(4)}
    ),
    Broken(
        "IntGELU",
        "input X has shape [3, 9], expected a multiple of 7 in dimension 1",
        {"X": i8(3, 9)},
    ),
    Broken(ATTENTION, "input QKV has shape [12], expected at least 2", {"QKV": i8(12)}),
    Broken(
        ATTENTION,
        "input QKV has shape [4, 9], expected a multiple of 6 in dimension 1",
        {"QKV": i8(4, 9)},
    ),
    Broken(
        ATTENTION,
        "input QKV has shape [32769, 6], expected at most 32768 tokens and channels of a head",
        {"QKV": i8(32769, 6)},
    ),
    Broken(
        ATTENTION,
        "input QKV has shape [1, 196614], expected at most 32768 tokens and channels of a head",
        {"QKV": i8(1, 196614)},
    ),
    Broken(WINDOWS, "input QKV has shape [7, 6], expected at least 3", {"QKV": i8(7, 6)}),
    Broken(
        WINDOWS,
        "input QKV has shape [20, 28, 6], expected a multiple of 7 in dimension 0",
        {"QKV": i8(20, 28, 6)},
    ),
    Broken(
        WINDOWS,
        "input QKV has shape [21, 28, 9], expected a multiple of 6 in dimension 2",
        {"QKV": i8(21, 28, 9)},
    ),
    Broken(
        WINDOWS,
        "input QKV has shape [21, 21, 6], expected as many windows as input mask, 12",
        {"QKV": i8(21, 21, 6)},
    ),
    Broken("IntLayerNorm", "input X has shape [2, 8], expected 7 in dimension 1", {"X": i8(2, 8)}),
    Broken("IntLayerNorm", "input X has shape [], expected at least 1", {"X": i8()}),
    Broken("IntRMSNorm", "input X has shape [2, 8], expected 7 in dimension 1", {"X": i8(2, 8)}),
    Broken("IntRMSNorm", "input X has shape [], expected at least 1", {"X": i8()}),
    Broken("IntAdd", "input A has shape [2, 8], expected 7 in dimension 1", {"A": i8(2, 8)}),
    Broken("IntAdd", "input A has shape [], expected at least 1", {"A": i8()}),
    Broken(
        "IntAdd",
        "input B has shape [3, 1, 7], expected [3, 2, 7] with 1 in leading",
        {"A": i8(3, 2, 7), "B": i8(3, 1, 7)},
    ),
    Broken(
        "IntAdd", "input B has shape [2, 7], expected [3, 2, 7]", {"A": i8(3, 2, 7), "B": i8(2, 7)}
    ),
    Broken("IntAdd", "input B has shape [0, 7], expected [2, 7]", {"A": i8(2, 7), "B": i8(0, 7)}),
    Broken("IntAdd", "input B has shape [2, 1], expected [2, 7]", {"A": i8(2, 7), "B": i8(2, 1)}),
    Broken("IntAdd", "input B has shape [], expected at least 1", {"B": i8()}),
    Broken(ROTARY, "input X has shape [1301, 22], expected at least 3", {"X": i8(1301, 22)}),
    Broken(
        ROTARY,
        "input X has shape [2, 1301, 22], expected 3 in dimension 0",
        {"X": i8(2, 1301, 22)},
    ),
    Broken(
        ROTARY,
        "input X has shape [2, 3, 1300, 22], expected 1301 in dimension 2",
        {"X": i8(2, 3, 1300, 22)},
    ),
    Broken(ROTARY, "input X has shape [3, 1301, 20], expected 22 in dim", {"X": i8(3, 1301, 20)}),
    Broken(
        GATE,
        "input B has shape [1, 3], expected that of input A, [2, 3]",
        {"A": i8(2, 3), "B": i8(1, 3)},
    ),
    Broken(GATE, "input B has shape [6], expected that of", {"A": i8(2, 3), "B": i8(6)}),
]


def assert_says(error: pytest.ExceptionInfo[Exception], op: str, sentence: str) -> None:
    text = str(error.value)
    assert f"{op} (node the_node): {sentence}" in text, text


@pytest.mark.parametrize("broken", AT_CREATION, ids=str)
def test_broken_attributes_and_constants(broken: Broken) -> None:
    inputs, attributes = broken.make()
    with pytest.raises(Exception) as error:  # noqa: B017 - onnxruntime's own classes
        make_session(make_model(broken.op, inputs, attributes))
    assert_says(error, broken.op, broken.sentence)


@pytest.mark.parametrize("broken", AT_RUN, ids=str)
def test_broken_shapes(broken: Broken) -> None:
    inputs, attributes = broken.make()
    with pytest.raises(Exception) as error:  # noqa: B017
        run(broken.op, inputs, attributes)
    assert_says(error, broken.op, broken.sentence)


@pytest.mark.parametrize("name", ["x" * 5000, "\u65e5" * 99, "a\nb", "%s%n", "\x7f"])
def test_messages_are_one_line_whatever_the_name(name: str) -> None:
    inputs, attributes = small_inputs(MATMUL)
    model = onnx.load_from_string(make_model(MATMUL, inputs, {**attributes, "K": 0}))
    model.graph.node[0].name = name
    with pytest.raises(Exception) as error:  # noqa: B017
        make_session(model.SerializeToString())
    sentence = f"{MATMUL} (node {re.sub('[^ -~]', '?', name)}"[:120]
    assert sentence.rstrip("?") in str(error.value)
    assert "attribute K is 0, expected [1, 32768]" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("layout", [b"n8k4.v1\0", b"n8k4.v1\0junk", b"n8k4.\xff\xfe"])
def test_strings_that_are_no_text(layout: bytes) -> None:
    inputs, attributes = small_inputs(MATMUL)
    model = onnx.load_from_string(make_model(MATMUL, inputs, attributes))
    (attribute,) = (a for a in model.graph.node[0].attribute if a.name == "layout")
    attribute.s = layout
    with pytest.raises(Exception, match=r'attribute layout is "n8k4\.[v1]*\?[?junk]*", expected'):
        make_session(model.SerializeToString())


def test_outputs_beyond_memory() -> None:
    """Nothing in, 2^80 elements out."""
    with pytest.raises(Exception, match="IntMatMul"):
        run("IntMatMul", {"A": i8(2**40, 0), "B": i8(2**40, 0)}, {})


CONSTANTS = [(op.name, entry.name) for op in OPS.values() for entry in op.inputs if entry.constant]


@pytest.mark.parametrize(("op", "name"), CONSTANTS)
def test_constants_must_be_constant(op: str, name: str) -> None:
    inputs, attributes = small_inputs(op)
    model = make_model(op, inputs, attributes, constant_inputs(op) - {name})
    with pytest.raises(Exception) as error:  # noqa: B017
        make_session(model)
    assert_says(error, op, f"input {name} is computed or missing, expected a constant")


ATTRIBUTES = {attribute.name for op in OPS.values() for attribute in op.attributes}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("value", [8, "8", [8]], ids=repr)
def test_attributes_of_other_ops(op: str, value: Any) -> None:
    for name in sorted(ATTRIBUTES - {attribute.name for attribute in OPS[op].attributes}):
        inputs, attributes = small_inputs(op)
        with pytest.raises(Exception) as error:  # noqa: B017
            make_session(make_model(op, inputs, {**attributes, name: value}))
        assert_says(error, op, f"attribute {name} is unknown, the op has none of that name")


INPUTS = [(op.name, entry.name) for op in OPS.values() for entry in op.inputs]


@pytest.mark.parametrize(("op", "name"), INPUTS)
def test_wrong_element_types(op: str, name: str) -> None:
    """onnxruntime itself compares the types with the ones that the library declares."""
    inputs, attributes = small_inputs(op)
    inputs[name] = inputs[name].astype(np.int64)
    with pytest.raises(Exception, match=f"(?s)int64.*{name}.*{op}"):
        make_session(make_model(op, inputs, attributes))


@pytest.mark.parametrize(("op", "name"), INPUTS)
def test_missing_inputs(op: str, name: str) -> None:
    inputs, attributes = small_inputs(op)
    del inputs[name]
    with pytest.raises(Exception, match=op):
        make_session(make_model(op, inputs, attributes))


def test_valid_nodes_are_valid() -> None:
    """What the tests above break is whole."""
    for op in OPS:
        inputs, attributes = small_inputs(op)
        assert run(op, inputs, attributes).size > 0
