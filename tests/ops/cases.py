"""Random valid inputs of every op: odd shapes, tails, the ends of every range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pqv_onnx.ops.domain import OPS, PACKED_LAYOUT
from pqv_onnx.packing import pack_weight

SMALL = (1, 2, 3, 4, 5, 7, 8, 9)
LARGE = (1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 197, 257)
LEADING = ((), (1,), (2,), (3, 1), (2, 3), (2, 1, 3))


@dataclass(frozen=True)
class Case:
    """One op with its inputs and attributes."""

    name: str
    inputs: dict[str, np.ndarray]
    attributes: dict[str, Any]


class Draw:
    """Random integers, half of them uniform and half at the ends of the range or zero."""

    def __init__(self, seed: int, small: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.small = small
        self.ends = float(self.rng.choice([0.0, 0.02, 0.2, 1.0]))

    def size(self) -> int:
        return int(self.rng.choice(SMALL if self.small else LARGE))

    def leading(self) -> tuple[int, ...]:
        return LEADING[self.rng.integers(len(LEADING) - self.small)]

    def array(self, low: int, high: int, shape: Any, dtype: str) -> np.ndarray:
        uniform = self.rng.integers(low, high, shape, endpoint=True)
        ends = self.rng.choice([low, high, min(low + 1, high), max(high - 1, low)], shape)
        return np.where(self.rng.random(shape) < self.ends, ends, uniform).astype(dtype)

    def one(self, low: int, high: int) -> int:
        return int(self.array(low, high, (), "int64"))

    def with_ones(self, leading: tuple[int, ...]) -> tuple[int, ...]:
        """As many axes, some or none of them at the front being 1."""
        ones = int(self.rng.integers(len(leading) + 1))
        return (*(1,) * ones, *leading[ones:])

    def residual_multiplier(self, channels: int) -> np.ndarray:
        return self.array(0, int(self.rng.choice([4096, 8192, 32767])), channels, "int16")

    def shifts(self, expected: float, shape: Any) -> np.ndarray:
        """Around the shift that gives a well scaled output; now and then anything."""
        near = np.rint(expected) + self.rng.integers(-2, 3, shape)
        anything = self.array(-15, 30, shape, "int64")
        return np.where(self.rng.random(shape) < 0.1, anything, near).clip(-15, 30).astype("int8")

    def multipliers(self, shape: Any) -> np.ndarray:
        normalised = self.array(2**14, 2**15 - 1, shape, "int64")
        signed = normalised * self.rng.choice([-1, 1], shape)
        anything = self.array(-32767, 32767, shape, "int64")
        return np.where(self.rng.random(shape) < 0.1, anything, signed).astype("int16")

    def multiplier(self) -> int:
        """An attribute: positive."""
        return max(abs(int(self.multipliers(()))), 1)

    def tables(self, channels: int) -> np.ndarray:
        """Of the GELU, for groups of channels."""
        groups = [count for count in range(1, max(channels, 4) + 1) if channels % count == 0]
        return self.array(-128, 127, (int(self.rng.choice(groups)), 256), "int8")

    def y_bits(self) -> int:
        return int(self.rng.choice([4, 8]))


def packed_matmul(name: str, draw: Draw) -> Case:
    bits = 4 if "Int4" in name else 8
    k, n, leading = draw.size(), draw.size(), (*draw.leading(), draw.size())
    limit = 2 ** (bits - 1) - 1
    bias_limit = int(draw.rng.choice([0, 2**10, 2**20, 2**29]))
    inputs = {
        "A": draw.array(-128, 127, (*leading, k), "int8"),
        "B": pack_weight(draw.array(-limit, limit, (k, n), "int8"), bits),
        "bias": draw.array(-bias_limit, bias_limit, n, "int32"),
    }
    attributes: dict[str, Any] = {"layout": PACKED_LAYOUT, "K": k, "N": n}
    if name.endswith("ToInt32"):
        return Case(name, inputs, attributes)
    spread = np.log2(75 * 0.6 * limit * k**0.5 + bias_limit)
    inputs |= {"shift": draw.shifts(spread - 12, n), "multiplier": draw.multipliers(n)}
    if name.endswith("GELU"):
        inputs["table"] = draw.tables(n)
        return Case(name, inputs, attributes)
    if name.endswith("Add"):
        inputs["residual"] = draw.array(-128, 127, (*draw.with_ones(leading), n), "int8")
        inputs["residual_multiplier"] = draw.residual_multiplier(n)
    return Case(name, inputs, attributes | {"y_bits": draw.y_bits()})


def int_matmul(name: str, draw: Draw) -> Case:
    m, n, k, leading = draw.size(), draw.size(), draw.size(), draw.leading()
    inputs = {
        "A": draw.array(-128, 127, (*leading, m, k), "int8"),
        "B": draw.array(-128, 127, (*leading, n, k), "int8"),
    }
    return Case(name, inputs, {})


def softmax(name: str, draw: Draw, shape: tuple[int, ...]) -> Case:
    bits = draw.one(1, 29)
    x = draw.array(-(2**bits), 2**bits, shape, "int32")
    # One row in two around a logit that alone may be beyond int16.
    around = draw.array(-(2**29) + 2**bits, 2**29 - 2**bits, (*shape[:-1], 1), "int32")
    x += np.where(draw.rng.random(around.shape) < 0.5, around, 0).astype("int32")
    shift = int(draw.shifts(bits - draw.one(11, 15), ()))
    attributes = {"shift": shift, "multiplier": draw.multiplier(), "log2": draw.one(0, 1)}
    return Case(name, {"X": x}, attributes)


def int_softmax2n(name: str, draw: Draw) -> Case:
    return softmax(name, draw, (*draw.leading(), draw.size(), draw.size()))


def int_softmax2n_bias(name: str, draw: Draw) -> Case:
    windows, heads, m, n = draw.one(1, 3), draw.one(1, 3), draw.one(1, 9), draw.size()
    case = softmax(name, draw, (*draw.leading(), windows, heads, m, n))
    limit = draw.one(1, 2**15 - 1)
    excluded = draw.rng.random((draw.rng.choice([1, windows]), m, n)) < draw.rng.choice([0, 0.3, 1])
    inputs = {
        **case.inputs,
        "bias": draw.array(-limit - 1, limit, (heads, m, n), "int16"),
        "mask": np.where(excluded, draw.array(1, 255, excluded.shape, "uint8"), 0).astype("uint8"),
    }
    return Case(name, inputs, case.attributes)


def int_weighted_mean(name: str, draw: Draw) -> Case:
    m, n, d, leading = draw.size(), draw.size(), draw.size(), draw.leading()
    w = draw.array(0, 255, (*leading, m, n), "uint8")
    if draw.rng.random() < 0.5:
        w = np.where(w > 127, 128 >> (w & 7), 0).astype("uint8")
    inputs = {"W": w, "V": draw.array(-128, 127, (*leading, n, d), "int8")}
    shift = int(draw.rng.choice([-11, -10, -9, -8, -7, draw.one(-16, 7)]))
    attributes = {"shift": shift, "multiplier": draw.multiplier(), "y_bits": draw.y_bits()}
    return Case(name, inputs, attributes)


def attention_attributes(name: str, draw: Draw, depth: int) -> dict[str, int]:
    scale = softmax(name, draw, (1,)).attributes
    return {
        "softmax_shift": int(draw.shifts(np.log2(75**2 * (depth + 1) ** 0.5) - 11, ())),
        "softmax_multiplier": scale["multiplier"],
        "log2": scale["log2"],
        "mean_shift": int(draw.rng.choice([-11, -10, -9, -8, -7, draw.one(-16, 7)])),
        "mean_multiplier": draw.multiplier(),
        "y_bits": draw.y_bits(),
    }


def int_attention(name: str, draw: Draw) -> Case:
    heads, depth, tokens = draw.one(1, 3), draw.size(), draw.size()
    attributes = {"num_heads": heads, **attention_attributes(name, draw, depth)}
    limit = int(draw.rng.choice([7, 127]))
    qkv = draw.array(-limit - 1, limit, (*draw.leading(), tokens, 3 * heads * depth), "int8")
    return Case(name, {"QKV": qkv}, attributes)


def int_window_attention(name: str, draw: Draw) -> Case:
    heads, depth = draw.one(1, 3), draw.one(1, 9 if draw.small else 40)
    window = [draw.one(1, 3 if draw.small else 7) for _ in range(2)]
    grid = [draw.one(1, 3) for _ in range(2)]
    attributes = {
        "window_height": window[0],
        "window_width": window[1],
        "roll_height": draw.one(0, window[0] - 1),
        "roll_width": draw.one(0, window[1] - 1),
        **attention_attributes(name, draw, depth),
    }
    limit, bias_limit = int(draw.rng.choice([7, 127])), draw.one(1, 2**15 - 1)
    size = [count * tokens for count, tokens in zip(grid, window, strict=True)]
    pairs = (window[0] * window[1],) * 2
    masks = int(draw.rng.choice([1, grid[0] * grid[1]]))
    excluded = draw.rng.random((masks, *pairs)) < draw.rng.choice([0, 0.3, 1])
    inputs = {
        "QKV": draw.array(
            -limit - 1, limit, (*draw.leading()[:1], *size, 3 * heads * depth), "int8"
        ),
        "bias": draw.array(-bias_limit - 1, bias_limit, (heads, *pairs), "int16"),
        "mask": np.where(excluded, draw.array(1, 255, excluded.shape, "uint8"), 0).astype("uint8"),
    }
    return Case(name, inputs, attributes)


def int_layer_norm(name: str, draw: Draw) -> Case:
    c = draw.size()
    amplitude = draw.one(0, 127)
    x = draw.array(-amplitude - 1, amplitude, (*draw.leading(), draw.size(), c), "int8")
    inputs = {
        "X": x,
        "exponent": draw.array(0, int(draw.rng.choice([0, 3])), c, "int8"),
        "shift": draw.shifts(13, c),
        "multiplier": draw.multipliers(c),
        "bias": draw.array(-32768, 32767, c, "int16") // np.int16(draw.rng.choice([1, 32, 32])),
    }
    epsilon = int(draw.rng.choice([0, 1, 999, 2**20, draw.one(0, 2**46)]))
    return Case(name, inputs, {"epsilon": epsilon, "y_bits": draw.y_bits()})


def int_rms_norm(name: str, draw: Draw) -> Case:
    case = int_layer_norm(name, draw)
    return Case(
        name, {key: case.inputs[key] for key in case.inputs if key != "bias"}, case.attributes
    )


def int_gelu(name: str, draw: Draw) -> Case:
    size = int(draw.rng.choice([0, *(draw.size() for _ in range(7))]))
    x = draw.array(-128, 127, (*draw.leading(), size), "int8")
    return Case(name, {"X": x, "table": draw.tables(x.shape[-1])}, {})


def int_add(name: str, draw: Draw) -> Case:
    c, leading = draw.size(), (*draw.leading(), draw.size())
    inputs = {
        "A": draw.array(-128, 127, (*leading, c), "int8"),
        "B": draw.array(-128, 127, (*draw.with_ones(leading), c), "int8"),
        "a_multiplier": draw.residual_multiplier(c),
        "b_multiplier": draw.residual_multiplier(c),
    }
    return Case(name, inputs, {"y_bits": draw.y_bits()})


def int_rotary(name: str, draw: Draw) -> Case:
    heads, tokens, depth = draw.one(1, 3), draw.one(1, 9), 2 * draw.size()
    table = (*(int(draw.rng.choice([1, size])) for size in (heads, tokens)), depth)
    amplitude = draw.one(0, 127)
    x = draw.array(-amplitude - 1, amplitude, (*draw.leading(), heads, tokens, depth), "int8")
    inputs = {
        "X": x,
        "cos": draw.array(-(2**14), 2**14, table, "int16"),
        "sin": draw.array(-(2**14), 2**14, table, "int16"),
    }
    attributes = {"pairs": draw.one(0, 1), **tensor_requantizer(draw, amplitude * 2**14)}
    return Case(name, inputs, attributes)


def int_gate(name: str, draw: Draw) -> Case:
    shape = (*draw.leading(), draw.size())
    inputs = {key: draw.array(-128, 127, shape, "int8") for key in ("A", "B")}
    zero_points = {f"{key}_zero_point": draw.one(-128, 127) for key in ("a", "b")}
    return Case(name, inputs, {**zero_points, **tensor_requantizer(draw, 100**2)})


def tensor_requantizer(draw: Draw, largest: int) -> dict[str, int]:
    """Attributes that bring accumulators up to `largest` to a well scaled output."""
    shift = int(draw.shifts(np.log2(largest + 1) - 12, ()))
    return {"shift": shift, "multiplier": draw.multiplier(), "y_bits": draw.y_bits()}


MAKERS: dict[str, Callable[[str, Draw], Case]] = {
    **dict.fromkeys((name for name in OPS if name.startswith("Packed")), packed_matmul),
    "IntMatMul": int_matmul,
    "IntSoftmax2n": int_softmax2n,
    "IntSoftmax2nBias": int_softmax2n_bias,
    "IntWeightedMean": int_weighted_mean,
    "IntAttention": int_attention,
    "IntWindowAttention": int_window_attention,
    "IntLayerNorm": int_layer_norm,
    "IntRMSNorm": int_rms_norm,
    "IntGELU": int_gelu,
    "IntAdd": int_add,
    "IntRotary": int_rotary,
    "IntGate": int_gate,
}


def random_case(name: str, seed: int, small: bool = False) -> Case:
    """The case of an op and a seed; small ones are for slow definitions."""
    return MAKERS[name](name, Draw(seed + 1000 * list(OPS).index(name), small))
