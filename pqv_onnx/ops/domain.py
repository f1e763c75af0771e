"""The op domain ``pqv``: names, versions, types, shapes and attributes of its ops.

This is the one place that declares them. The torch ops, the ONNX functions, the exporter
and the tests read this table; ``docs/ops.md`` gives the formulas. Imports no torch, so that
a machine that only runs models can read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DOMAIN = "pqv"
VERSION = 1

PACKED_LAYOUT = "n8k4.v1"

MAX_K = 32768
"""Longest reduction of any op: int8 x int8 sums of this length stay below 2^29."""
MAX_CHANNELS = 8192
"""Widest row of IntLayerNorm and IntRMSNorm."""
MAX_ADD_CHANNELS = 2**24
"""Widest row of IntAdd, as of the packed matmuls' outputs."""
MAX_EXPONENT = 3
"""Largest power-of-two ratio of a residual channel (PackQViT, section 3.3)."""
FRACTION_BITS = 6
"""Fraction bits of a requantized value before narrowing: 64 is one output step."""
SOFTMAX_FRACTION_BITS = 8
"""Fraction bits of a softmax logit, in log2 units."""
ROTARY_TABLE_BITS = 14
"""Fraction bits of the sines and cosines of IntRotary."""
LAYER_NORM_UNIT_BITS = 24
"""IntLayerNorm and IntRMSNorm hand 2^24 per unit of what they divide by to their requantizer."""

MIN_SHIFT, MAX_SHIFT = -15, 30
MIN_MEAN_SHIFT, MAX_MEAN_SHIFT = -16, 7
"""Of IntWeightedMean, whose shift grows by the bit length of the sum of weights."""
MAX_MULTIPLIER = 32767
MAX_BIAS = 2**29


@dataclass(frozen=True)
class Input:
    """One input: ``dtype`` is a numpy name, ``dims`` names the axes.

    "..." stands for any leading axes, "N/8" for the ceiling of N / 8; "W or 1" may be 1, too.
    The leading axes of all inputs are the same, but where ``broadcast`` allows a run of ones at
    the front.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]
    constant: bool = False
    broadcast: bool = False


@dataclass(frozen=True)
class Attribute:
    """One attribute of type ``int`` or ``str``; ``default`` None means required."""

    name: str
    type: type
    default: int | str | None = None


@dataclass(frozen=True)
class Op:
    """One op of the domain: its inputs and attributes in order, and its single output."""

    name: str
    inputs: tuple[Input, ...]
    attributes: tuple[Attribute, ...]
    output_dtype: str
    output_dims: tuple[str, ...]

    @property
    def torch_name(self) -> str:
        """Name below ``torch.ops.pqv``: ``PackedInt4MatMulAdd`` -> ``packed_int4_matmul_add``."""
        boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
        return re.sub(boundary, "_", self.name.replace("MatMul", "Matmul")).lower()


_Y_BITS = Attribute("y_bits", int, 8)
_PACKED = (Attribute("layout", str), Attribute("K", int), Attribute("N", int))
_REQUANTIZER = (
    Input("shift", "int8", ("N",), constant=True),
    Input("multiplier", "int16", ("N",), constant=True),
)
_TENSOR_REQUANTIZER = (Attribute("shift", int), Attribute("multiplier", int))
_RESIDUAL = (
    Input("residual", "int8", ("...", "N"), broadcast=True),
    Input("residual_multiplier", "int16", ("N",), constant=True),
)
_TABLE = Input("table", "int8", ("256",), constant=True)
_SOFTMAX = (*_TENSOR_REQUANTIZER, Attribute("log2", int))
_NORM = (
    Input("X", "int8", ("...", "C")),
    Input("exponent", "int8", ("C",), constant=True),
    Input("shift", "int8", ("C",), constant=True),
    Input("multiplier", "int16", ("C",), constant=True),
)
_ATTENTION = (
    Attribute("softmax_shift", int),
    Attribute("softmax_multiplier", int),
    Attribute("log2", int),
    Attribute("mean_shift", int),
    Attribute("mean_multiplier", int),
    _Y_BITS,
)


def _packed_inputs(bits: int) -> tuple[Input, ...]:
    weight = Input(
        "B",
        "uint8" if bits == 4 else "int8",
        ("N/8", "K/4", "16" if bits == 4 else "32"),
        constant=True,
    )
    return (Input("A", "int8", ("...", "K")), weight, Input("bias", "int32", ("N",), constant=True))


def _packed_matmul(bits: int) -> Op:
    inputs = _packed_inputs(bits) + _REQUANTIZER
    return Op(f"PackedInt{bits}MatMul", inputs, (*_PACKED, _Y_BITS), "int8", ("...", "N"))


def _packed_matmul_add(bits: int) -> Op:
    inputs = _packed_inputs(bits) + _REQUANTIZER + _RESIDUAL
    return Op(f"PackedInt{bits}MatMulAdd", inputs, (*_PACKED, _Y_BITS), "int8", ("...", "N"))


def _packed_matmul_gelu(bits: int) -> Op:
    inputs = (*_packed_inputs(bits), *_REQUANTIZER, _TABLE)
    return Op(f"PackedInt{bits}MatMulGELU", inputs, _PACKED, "int8", ("...", "N"))


_OPS = (
    _packed_matmul(4),
    _packed_matmul_add(4),
    _packed_matmul_gelu(4),
    _packed_matmul(8),
    _packed_matmul_add(8),
    _packed_matmul_gelu(8),
    Op("PackedInt8MatMulToInt32", _packed_inputs(8), _PACKED, "int32", ("...", "N")),
    Op(
        "IntMatMul",
        (Input("A", "int8", ("...", "M", "K")), Input("B", "int8", ("...", "N", "K"))),
        (),
        "int32",
        ("...", "M", "N"),
    ),
    Op(
        "IntSoftmax2n",
        (Input("X", "int32", ("...", "N")),),
        _SOFTMAX,
        "uint8",
        ("...", "N"),
    ),
    Op(
        "IntSoftmax2nBias",
        (
            Input("X", "int32", ("...", "W", "H", "M", "N")),
            Input("bias", "int16", ("H", "M", "N"), constant=True),
            Input("mask", "uint8", ("W or 1", "M", "N"), constant=True),
        ),
        _SOFTMAX,
        "uint8",
        ("...", "W", "H", "M", "N"),
    ),
    Op(
        "IntWeightedMean",
        (Input("W", "uint8", ("...", "M", "N")), Input("V", "int8", ("...", "N", "D"))),
        (*_TENSOR_REQUANTIZER, _Y_BITS),
        "int8",
        ("...", "M", "D"),
    ),
    Op(
        "IntAttention",
        (Input("QKV", "int8", ("...", "T", "C")),),
        (Attribute("num_heads", int), *_ATTENTION),
        "int8",
        ("...", "T", "C/3"),
    ),
    Op(
        "IntWindowAttention",
        (
            Input("QKV", "int8", ("...", "H", "W", "C")),
            Input("bias", "int16", ("heads", "T", "T"), constant=True),
            Input("mask", "uint8", ("windows or 1", "T", "T"), constant=True),
        ),
        (
            Attribute("window_height", int),
            Attribute("window_width", int),
            Attribute("roll_height", int),
            Attribute("roll_width", int),
            *_ATTENTION,
        ),
        "int8",
        ("...", "H", "W", "C/3"),
    ),
    Op(
        "IntLayerNorm",
        (*_NORM, Input("bias", "int16", ("C",), constant=True)),
        (Attribute("epsilon", int), _Y_BITS),
        "int8",
        ("...", "C"),
    ),
    Op(
        "IntRMSNorm",
        _NORM,
        (Attribute("epsilon", int), _Y_BITS),
        "int8",
        ("...", "C"),
    ),
    Op(
        "IntGELU",
        (Input("X", "int8", ("...",)), _TABLE),
        (),
        "int8",
        ("...",),
    ),
    Op(
        "IntAdd",
        (
            Input("A", "int8", ("...", "C")),
            Input("B", "int8", ("...", "C"), broadcast=True),
            Input("a_multiplier", "int16", ("C",), constant=True),
            Input("b_multiplier", "int16", ("C",), constant=True),
        ),
        (_Y_BITS,),
        "int8",
        ("...", "C"),
    ),
    Op(
        "IntRotary",
        (
            Input("X", "int8", ("...", "H", "N", "D")),
            Input("cos", "int16", ("H or 1", "N", "D"), constant=True),
            Input("sin", "int16", ("H or 1", "N", "D"), constant=True),
        ),
        (Attribute("pairs", int), *_TENSOR_REQUANTIZER, _Y_BITS),
        "int8",
        ("...", "H", "N", "D"),
    ),
    Op(
        "IntGate",
        (Input("A", "int8", ("...",)), Input("B", "int8", ("...",))),
        (
            Attribute("a_zero_point", int),
            Attribute("b_zero_point", int),
            *_TENSOR_REQUANTIZER,
            _Y_BITS,
        ),
        "int8",
        ("...",),
    ),
)

OPS: dict[str, Op] = {op.name: op for op in _OPS}
