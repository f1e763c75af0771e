"""The ops in plain Python integers, from the words of docs/ops.md and nothing else.

Slow, one element at a time; shares no code with the package but the table of names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Inputs = Mapping[str, np.ndarray]


def sat16(x: int) -> int:
    return min(max(x, -32768), 32767)


def round_shift(x: int, s: int) -> int:
    return (x + 2 ** (s - 1)) >> s if s > 0 else x * 2**-s


def mul_q15(a: int, b: int) -> int:
    return (a * b + 2**14) >> 15


def requantize(acc: int, shift: int, multiplier: int) -> int:
    return mul_q15(sat16(round_shift(acc, shift)), multiplier)


def narrow(u: int, y_bits: int) -> int:
    return min(max(round_shift(u, 6), -(2 ** (y_bits - 1))), 2 ** (y_bits - 1) - 1)


def reciprocal(x: int, e: int) -> int:
    return min(2 ** (e + 14) // x, 32767)


def weight(packed: np.ndarray, k: int, n: int) -> int:
    """W[k, n] of the layout n8k4.v1."""
    (panel, channel), (group, j) = divmod(n, 8), divmod(k, 4)
    if packed.dtype == np.int8:
        return int(packed[panel, group, 4 * channel + j])
    byte = int(packed[panel, group, 4 * (channel % 4) + j])
    nibble = byte >> 4 if channel >= 4 else byte & 15
    return nibble - 16 if nibble >= 8 else nibble


def look_up(tables: np.ndarray, channel: int, channels: int, code: np.int8) -> int:
    return int(tables[channel // (channels // len(tables))][int(code) + 128])


def packed_matmul(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    k, n = attributes["K"], attributes["N"]
    a = inputs["A"]
    w = [[weight(inputs["B"], row, column) for row in range(k)] for column in range(n)]
    y = np.zeros((*a.shape[:-1], n), np.int8 if "shift" in inputs else np.int32)
    if "residual" in inputs:
        residual = np.broadcast_to(inputs["residual"], y.shape)
    for at in np.ndindex(y.shape):
        row, c = a[at[:-1]].tolist(), at[-1]
        acc = sum(x * v for x, v in zip(row, w[c], strict=True)) + int(inputs["bias"][c])
        if "shift" not in inputs:
            y[at] = acc
            continue
        u = requantize(acc, int(inputs["shift"][c]), int(inputs["multiplier"][c]))
        if "residual" in inputs:
            r = mul_q15(int(residual[at]) * 256, int(inputs["residual_multiplier"][c]))
            u = sat16(u + r)
        y[at] = narrow(u, attributes.get("y_bits", 8))
        if "table" in inputs:
            y[at] = look_up(inputs["table"], c, n, y[at])
    return y


def int_matmul(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    a, b = inputs["A"], inputs["B"]
    y = np.zeros((*a.shape[:-1], b.shape[-2]), np.int32)
    for at in np.ndindex(y.shape):
        pairs = zip(a[at[:-1]].tolist(), b[(*at[:-2], at[-1])].tolist(), strict=True)
        y[at] = sum(p * q for p, q in pairs)
    return y


def int_softmax2n(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    x = inputs["X"]
    y = np.zeros(x.shape, np.uint8)
    for at in np.ndindex(x.shape[:-1]):
        t = [round_shift(v, attributes["shift"]) for v in x[at].tolist()]
        for j, value in enumerate(t):
            d = mul_q15(sat16(max(t) - value), attributes["multiplier"])
            y[(*at, j)] = softmax_weight(d, attributes["log2"])
    return y


def softmax_weight(d: int, log2: int) -> int:
    if log2:
        c = (d + 128) >> 8
        return 2 ** (7 - c) if c <= 7 else 0
    i, fraction = d >> 8, (d & 255) * 128
    t = 32640 - mul_q15(fraction, 21920 - mul_q15(fraction, 5600))
    return (t * (256 >> min(i, 9)) + 2**14) >> 15


def int_softmax2n_bias(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    x, bias, mask = inputs["X"], inputs["bias"], inputs["mask"]
    y = np.zeros(x.shape, np.uint8)
    for at in np.ndindex(x.shape[:-1]):
        window, head, row = at[-3:]
        excluded = mask[window if len(mask) > 1 else 0, row]
        logits = zip(x[at].tolist(), bias[head, row].tolist(), strict=True)
        t = [round_shift(v, attributes["shift"]) + b for v, b in logits]
        kept = [j for j in range(len(t)) if excluded[j] == 0]
        for j in kept:
            d = mul_q15(sat16(max(t[i] for i in kept) - t[j]), attributes["multiplier"])
            y[(*at, j)] = softmax_weight(d, attributes["log2"])
    return y


def int_weighted_mean(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    w, v = inputs["W"], inputs["V"]
    y = np.zeros((*w.shape[:-1], v.shape[-1]), np.int8)
    for at in np.ndindex(y.shape):
        row, column = w[at[:-1]].tolist(), v[at[:-2]][:, at[-1]].tolist()
        s = max(sum(row), 1)
        e = s.bit_length()
        acc = sum(p * q for p, q in zip(row, column, strict=True))
        multiplier = mul_q15(attributes["multiplier"], reciprocal(s, e))
        y[at] = narrow(requantize(acc, attributes["shift"] + e, multiplier), attributes["y_bits"])
    return y


def int_attention(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    qkv, heads = inputs["QKV"], attributes["num_heads"]
    width = qkv.shape[-1] // 3
    depth = width // heads
    softmax = {name: attributes[f"softmax_{name}"] for name in ("shift", "multiplier")}
    mean = {name: attributes[f"mean_{name}"] for name in ("shift", "multiplier")}
    y = np.zeros((*qkv.shape[:-1], width), np.int8)
    for first in range(0, width, depth):
        q, k, v = (qkv[..., i * width + first :][..., :depth] for i in range(3))
        logits = {"X": int_matmul({"A": q, "B": k}, {})}
        weights = int_softmax2n(logits, {**softmax, "log2": attributes["log2"]})
        y[..., first : first + depth] = int_weighted_mean(
            {"W": weights, "V": v}, {**mean, "y_bits": attributes["y_bits"]}
        )
    return y


def int_window_attention(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    qkv, bias, mask = inputs["QKV"], inputs["bias"], inputs["mask"]
    *leading, height, width, channels = qkv.shape
    h, w = attributes["window_height"], attributes["window_width"]
    heads, tokens, _ = bias.shape
    depth = channels // 3 // heads
    softmax = {name: attributes[f"softmax_{name}"] for name in ("shift", "multiplier")}
    mean = {name: attributes[f"mean_{name}"] for name in ("shift", "multiplier")}
    y = np.zeros((*leading, height, width, heads * depth), np.int8)
    for at in np.ndindex(*leading, height // h, width // w, heads):
        *image, down, across, head = at
        window = down * (width // w) + across
        places = [
            (
                (down * h + i + attributes["roll_height"]) % height,
                (across * w + j + attributes["roll_width"]) % width,
            )
            for i in range(h)
            for j in range(w)
        ]
        rows = np.array([qkv[(*image, *place)] for place in places]).reshape(
            tokens, 3, heads, depth
        )
        q, k, v = (rows[:, i, head] for i in range(3))
        logits = int_matmul({"A": q, "B": k}, {}).reshape(1, 1, tokens, tokens)
        pairs = {"bias": bias[head : head + 1], "mask": mask[[window if len(mask) > 1 else 0]]}
        weights = int_softmax2n_bias(
            {"X": logits, **pairs}, {**softmax, "log2": attributes["log2"]}
        )
        context = int_weighted_mean(
            {"W": weights[0, 0], "V": v}, {**mean, "y_bits": attributes["y_bits"]}
        )
        for place, row in zip(places, context, strict=True):
            y[(*image, *place)][head * depth : (head + 1) * depth] = row
    return y


def int_layer_norm(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    y = np.zeros(inputs["X"].shape, np.int8)
    channels = y.shape[-1]
    parameters = [inputs[name].tolist() for name in ("exponent", "shift", "multiplier", "bias")]
    for at in np.ndindex(y.shape[:-1]):
        pairs = zip(inputs["X"][at].tolist(), parameters[0], strict=True)
        x = [value * 2**exponent for value, exponent in pairs]
        total = sum(x)
        spread = channels * sum(v * v for v in x) - total * total + attributes["epsilon"]
        sigma = max(math.isqrt(spread), 1)
        e = sigma.bit_length()
        for c in range(channels):
            _, shift, multiplier, bias = (values[c] for values in parameters)
            n = sat16(round_shift(channels * x[c] - total, e - 10)) * reciprocal(sigma, e)
            u = sat16(requantize(n, shift, multiplier) + bias)
            y[(*at, c)] = narrow(u, attributes["y_bits"])
    return y


def int_rms_norm(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    y = np.zeros(inputs["X"].shape, np.int8)
    channels = y.shape[-1]
    exponents, shifts, multipliers = (
        inputs[name].tolist() for name in ("exponent", "shift", "multiplier")
    )
    for at in np.ndindex(y.shape[:-1]):
        pairs = zip(inputs["X"][at].tolist(), exponents, strict=True)
        x = [value * 2**exponent for value, exponent in pairs]
        square = channels * sum(v * v for v in x) + attributes["epsilon"]
        sigma = max(math.isqrt(square), 1)
        e = sigma.bit_length()
        for c in range(channels):
            n = sat16(round_shift(channels * x[c], e - 10)) * reciprocal(sigma, e)
            y[(*at, c)] = narrow(requantize(n, shifts[c], multipliers[c]), attributes["y_bits"])
    return y


def int_gelu(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    y = np.zeros(inputs["X"].shape, np.int8)
    for at in np.ndindex(y.shape):
        y[at] = look_up(inputs["table"], at[-1], y.shape[-1], inputs["X"][at])
    return y


def int_add(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    a, b = inputs["A"], np.broadcast_to(inputs["B"], inputs["A"].shape)
    multipliers = inputs["a_multiplier"].tolist(), inputs["b_multiplier"].tolist()
    y = np.zeros(a.shape, np.int8)
    for at in np.ndindex(y.shape):
        links = [
            mul_q15(int(codes[at]) * 256, multiplier[at[-1]])
            for codes, multiplier in zip((a, b), multipliers, strict=True)
        ]
        y[at] = narrow(sat16(sum(links)), attributes["y_bits"])
    return y


def rotated(x: list[int], pairs: int) -> list[int]:
    half = len(x) // 2
    if not pairs:
        return [-v for v in x[half:]] + x[:half]
    return [v for i in range(0, len(x), 2) for v in (-x[i + 1], x[i])]


def int_rotary(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    y = np.zeros(inputs["X"].shape, np.int8)
    for at in np.ndindex(y.shape[:-1]):
        sizes = inputs["cos"].shape[:2]
        row = tuple(i if size > 1 else 0 for i, size in zip(at[-2:], sizes, strict=True))
        x = inputs["X"][at].tolist()
        cos, sin = inputs["cos"][row].tolist(), inputs["sin"][row].tolist()
        for d, turned in enumerate(rotated(x, attributes["pairs"])):
            acc = x[d] * cos[d] + turned * sin[d]
            u = requantize(acc, attributes["shift"], attributes["multiplier"])
            y[(*at, d)] = narrow(u, attributes["y_bits"])
    return y


def int_gate(inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    a, b = inputs["A"], inputs["B"]
    y = np.zeros(a.shape, np.int8)
    for at in np.ndindex(y.shape):
        acc = (int(a[at]) - attributes["a_zero_point"]) * (int(b[at]) - attributes["b_zero_point"])
        u = requantize(acc, attributes["shift"], attributes["multiplier"])
        y[at] = narrow(u, attributes["y_bits"])
    return y


ORACLES: dict[str, Callable[[Inputs, Mapping[str, Any]], np.ndarray]] = {
    "PackedInt4MatMul": packed_matmul,
    "PackedInt4MatMulAdd": packed_matmul,
    "PackedInt4MatMulGELU": packed_matmul,
    "PackedInt8MatMul": packed_matmul,
    "PackedInt8MatMulAdd": packed_matmul,
    "PackedInt8MatMulGELU": packed_matmul,
    "PackedInt8MatMulToInt32": packed_matmul,
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
