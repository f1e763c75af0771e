"""The op domain ``pqv``: the one place that declares its ops.

Names, types, shapes, ranges and defaults, what an op costs and which ops it stands for. The torch
ops, the ONNX functions, the exporter, ``pqv inspect`` and the tests read this table, C++ reads the
headers that ``pqv_onnx.ops.declarations`` makes of it; ``docs/ops.md`` gives the formulas. Imports
no torch, so that a machine that only runs models can read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DOMAIN = "pqv"
VERSION = 1

PACKED_LAYOUT = "n8k4.v1"

MAX_REDUCTION = 32768
"""Longest sum of any op: int8 x int8 sums of this length stay below 2^29."""
MAX_NORM_CHANNELS = 8192
"""Widest row of IntLayerNorm and IntRMSNorm: all sums of a row stay below 2^47."""
MAX_CHANNELS = 2**24
"""Widest row of IntAdd and of the packed matmuls' outputs."""
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
MAX_EPSILON = 2**46


def _between(low: int, high: int) -> range:
    """All integers from ``low`` to ``high``."""
    return range(low, high + 1)


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: its name.
        dtype: as numpy calls it.
        dims: names of the axes. "..." stands for any leading axes, "N/8" for the ceiling of N / 8;
            "W or 1" may be 1, too.
        constant: whether it has to be one.
        values: what each element of a constant may be; None: whatever the type holds.
        broadcast: the leading axes of all inputs are the same, but here a run of ones may be in
            front.
        weight_bits: of the weights that are packed in it, if there are any.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]
    constant: bool = False
    values: range | None = None
    broadcast: bool = False
    weight_bits: int | None = None


@dataclass(frozen=True)
class Attribute:
    """One attribute.

    Attributes:
        name: its name.
        values: the integers that it may be, or the string that it must be.
        default: what it is where it is absent; None: it may not be.
        below: the name of another one, of which it is less.
    """

    name: str
    values: range | str
    default: int | None = None
    below: str | None = None

    @property
    def type(self) -> type:
        """``int`` or ``str``."""
        return str if isinstance(self.values, str) else int


@dataclass(frozen=True)
class Op:
    """One op of the domain, which has a single output.

    Attributes:
        name: its name.
        inputs: in order.
        attributes: in order.
        output_dtype: as numpy calls it.
        output_dims: as those of inputs.
        sizes: of named axes that are limited.
        macs: the axes whose product is the number of multiply-accumulates, "..." being all leading
            ones; none if it has no products to speak of.
        fused_from: the ops of which it does the work, in their order.
    """

    name: str
    inputs: tuple[Input, ...]
    attributes: tuple[Attribute, ...]
    output_dtype: str
    output_dims: tuple[str, ...]
    sizes: Mapping[str, range] = field(default_factory=dict, hash=False)
    macs: tuple[str, ...] = ()
    fused_from: tuple[str, ...] = ()

    @property
    def torch_name(self) -> str:
        """Name below ``torch.ops.pqv``: ``PackedInt4MatMulAdd`` -> ``packed_int4_matmul_add``."""
        boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
        return re.sub(boundary, "_", self.name.replace("MatMul", "Matmul")).lower()

    @property
    def weight_bits(self) -> int | None:
        """Of its packed weights, if it has any."""
        return next((entry.weight_bits for entry in self.inputs if entry.weight_bits), None)


_SHIFT = _between(MIN_SHIFT, MAX_SHIFT)
_MEAN_SHIFT = _between(MIN_MEAN_SHIFT, MAX_MEAN_SHIFT)
_MULTIPLIER = _between(-MAX_MULTIPLIER, MAX_MULTIPLIER)
_POSITIVE_MULTIPLIER = _between(1, MAX_MULTIPLIER)
_RESIDUAL_MULTIPLIER = _between(0, MAX_MULTIPLIER)
_ROTARY_TABLE = _between(-(2**ROTARY_TABLE_BITS), 2**ROTARY_TABLE_BITS)
_CODE = _between(-128, 127)
_FLAG = _between(0, 1)
_TOKENS = _between(0, MAX_REDUCTION)


def _constant(name: str, dtype: str, *dims: str, values: range | None = None) -> Input:
    return Input(name, dtype, dims, constant=True, values=values)


_Y_BITS = Attribute("y_bits", _between(4, 8), default=8)
_PACKED = (
    Attribute("layout", PACKED_LAYOUT),
    Attribute("K", _between(1, MAX_REDUCTION)),
    Attribute("N", _between(1, MAX_CHANNELS)),
)
_TENSOR_REQUANTIZER = (Attribute("shift", _SHIFT), Attribute("multiplier", _POSITIVE_MULTIPLIER))
_RESIDUAL = (
    Input("residual", "int8", ("...", "N"), broadcast=True),
    _constant("residual_multiplier", "int16", "N", values=_RESIDUAL_MULTIPLIER),
)
_TABLE = _constant("table", "int8", "G", "256")
_SOFTMAX = (*_TENSOR_REQUANTIZER, Attribute("log2", _FLAG))
_ATTENTION = (
    Attribute("softmax_shift", _SHIFT),
    Attribute("softmax_multiplier", _POSITIVE_MULTIPLIER),
    Attribute("log2", _FLAG),
    Attribute("mean_shift", _MEAN_SHIFT),
    Attribute("mean_multiplier", _POSITIVE_MULTIPLIER),
    _Y_BITS,
)
_EPSILON = Attribute("epsilon", _between(0, MAX_EPSILON))


def _requantizer(channels: str) -> tuple[Input, Input]:
    return (
        _constant("shift", "int8", channels, values=_SHIFT),
        _constant("multiplier", "int16", channels, values=_MULTIPLIER),
    )


def _packed(
    name: str,
    bits: int,
    *inputs: Input,
    attributes: tuple[Attribute, ...] = (),
    dtype: str = "int8",
    fused_from: tuple[str, ...] = (),
) -> Op:
    """A product with packed weights; ``inputs`` come after the bias."""
    stored, size = ("uint8", "16") if bits == 4 else ("int8", "32")
    weight = Input("B", stored, ("N/8", "K/4", size), constant=True, weight_bits=bits)
    bias = _constant("bias", "int32", "N", values=_between(-MAX_BIAS, MAX_BIAS))
    return Op(
        name,
        (Input("A", "int8", ("...", "K")), weight, bias, *inputs),
        (*_PACKED, *attributes),
        dtype,
        ("...", "N"),
        macs=("...", "K", "N"),
        fused_from=fused_from,
    )


def _packed_family(bits: int) -> tuple[Op, ...]:
    """The product that narrows its sums, with a residual, and with the GELU."""
    name, requantizer = f"PackedInt{bits}MatMul", _requantizer("N")
    return (
        _packed(name, bits, *requantizer, attributes=(_Y_BITS,)),
        _packed(f"{name}Add", bits, *requantizer, *_RESIDUAL, attributes=(_Y_BITS,)),
        _packed(f"{name}GELU", bits, *requantizer, _TABLE, fused_from=(name, "IntGELU")),
    )


def _norm(name: str, *inputs: Input) -> Op:
    """A normalisation of rows whose channels have power-of-two steps."""
    x = Input("X", "int8", ("...", "C"))
    exponent = _constant("exponent", "int8", "C", values=_between(0, MAX_EXPONENT))
    return Op(
        name,
        (x, exponent, *_requantizer("C"), *inputs),
        (_EPSILON, _Y_BITS),
        "int8",
        ("...", "C"),
        sizes={"C": _between(1, MAX_NORM_CHANNELS)},
    )


_OPS = (
    *_packed_family(4),
    *_packed_family(8),
    _packed("PackedInt8MatMulToInt32", 8, dtype="int32"),
    Op(
        "IntMatMul",
        (Input("A", "int8", ("...", "M", "K")), Input("B", "int8", ("...", "N", "K"))),
        (),
        "int32",
        ("...", "M", "N"),
        sizes={"K": _TOKENS},
        macs=("...", "M", "N", "K"),
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
            _constant("bias", "int16", "H", "M", "N"),
            _constant("mask", "uint8", "W or 1", "M", "N"),
        ),
        _SOFTMAX,
        "uint8",
        ("...", "W", "H", "M", "N"),
    ),
    Op(
        "IntWeightedMean",
        (Input("W", "uint8", ("...", "M", "N")), Input("V", "int8", ("...", "N", "D"))),
        (Attribute("shift", _MEAN_SHIFT), Attribute("multiplier", _POSITIVE_MULTIPLIER), _Y_BITS),
        "int8",
        ("...", "M", "D"),
        sizes={"N": _TOKENS},
        macs=("...", "M", "N", "D"),
    ),
    Op(
        "IntAttention",
        (Input("QKV", "int8", ("...", "T", "C")),),
        (Attribute("num_heads", _between(1, MAX_REDUCTION)), *_ATTENTION),
        "int8",
        ("...", "T", "C/3"),
        sizes={"T": _TOKENS},
        macs=("...", "2", "T", "T", "C/3"),
        fused_from=("IntMatMul", "IntSoftmax2n", "IntWeightedMean"),
    ),
    Op(
        "IntWindowAttention",
        (
            Input("QKV", "int8", ("...", "H", "W", "C")),
            _constant("bias", "int16", "heads", "T", "T"),
            _constant("mask", "uint8", "windows or 1", "T", "T"),
        ),
        (
            Attribute("window_height", _between(1, MAX_REDUCTION)),
            Attribute("window_width", _between(1, MAX_REDUCTION)),
            Attribute("roll_height", range(MAX_REDUCTION), below="window_height"),
            Attribute("roll_width", range(MAX_REDUCTION), below="window_width"),
            *_ATTENTION,
        ),
        "int8",
        ("...", "H", "W", "C/3"),
        sizes={"T": _TOKENS},
        macs=("...", "2", "H", "W", "T", "C/3"),
        fused_from=("IntMatMul", "IntSoftmax2nBias", "IntWeightedMean"),
    ),
    _norm("IntLayerNorm", _constant("bias", "int16", "C")),
    _norm("IntRMSNorm"),
    Op("IntGELU", (Input("X", "int8", ("...", "C")), _TABLE), (), "int8", ("...", "C")),
    Op(
        "IntAdd",
        (
            Input("A", "int8", ("...", "C")),
            Input("B", "int8", ("...", "C"), broadcast=True),
            _constant("a_multiplier", "int16", "C", values=_RESIDUAL_MULTIPLIER),
            _constant("b_multiplier", "int16", "C", values=_RESIDUAL_MULTIPLIER),
        ),
        (_Y_BITS,),
        "int8",
        ("...", "C"),
        sizes={"C": _between(1, MAX_CHANNELS)},
    ),
    Op(
        "IntRotary",
        (
            Input("X", "int8", ("...", "H", "N", "D")),
            _constant("cos", "int16", "H or 1", "N or 1", "D", values=_ROTARY_TABLE),
            _constant("sin", "int16", "H or 1", "N or 1", "D", values=_ROTARY_TABLE),
        ),
        (Attribute("pairs", _FLAG), *_TENSOR_REQUANTIZER, _Y_BITS),
        "int8",
        ("...", "H", "N", "D"),
    ),
    Op(
        "IntGate",
        (Input("A", "int8", ("...",)), Input("B", "int8", ("...",))),
        (
            Attribute("a_zero_point", _CODE),
            Attribute("b_zero_point", _CODE),
            *_TENSOR_REQUANTIZER,
            _Y_BITS,
        ),
        "int8",
        ("...",),
    ),
)

OPS: dict[str, Op] = {op.name: op for op in _OPS}
