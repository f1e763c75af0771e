"""Valid inputs of every op, of given sizes. Random ones are in `tests.ops.cases`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pqv_onnx.ops.domain import PACKED_LAYOUT
from pqv_onnx.packing import pack_weight


def packed_inputs(
    bits: int, m: int, k: int, n: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Inputs and attributes of a packed matmul [m, k] x [k, n]."""
    limit = 2 ** (bits - 1) - 1
    inputs = {
        "A": rng.integers(-128, 128, (m, k)).astype(np.int8),
        "B": pack_weight(rng.integers(-limit, limit + 1, (k, n)).astype(np.int8), bits),
        "bias": rng.integers(-(2**12), 2**12, n).astype(np.int32),
        "shift": rng.integers(4, 9, n).astype(np.int8),
        "multiplier": rng.integers(-32767, 32768, n).astype(np.int16),
    }
    return inputs, {"layout": PACKED_LAYOUT, "K": k, "N": n}


def large_inputs(
    name: str, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Valid inputs and attributes, enough work to be cut into tasks."""
    if name.startswith("Packed"):
        inputs, attributes = packed_inputs(4 if "Int4" in name else 8, 101, 200, 333, rng)
        if name.endswith("Add"):
            inputs["residual"] = rng.integers(-128, 128, (101, 333)).astype(np.int8)
            inputs["residual_multiplier"] = rng.integers(0, 32768, 333).astype(np.int16)
        if name.endswith("GELU"):
            inputs["table"] = rng.integers(-128, 128, (9, 256)).astype(np.int8)
        if name.endswith("ToInt32"):
            inputs = {key: inputs[key] for key in ("A", "B", "bias")}
        return inputs, attributes
    x = rng.integers(-128, 128, (3, 131, 99)).astype(np.int8)
    if name == "IntMatMul":
        return {"A": x, "B": x[:, ::-1].copy()}, {}
    if name == "IntSoftmax2n":
        logits = rng.integers(-(2**20), 2**20, (9, 131, 99)).astype(np.int32)
        return {"X": logits}, {"shift": 9, "multiplier": 20000, "log2": 0}
    if name == "IntSoftmax2nBias":
        inputs = {
            "X": rng.integers(-(2**20), 2**20, (4, 3, 2, 49, 99)).astype(np.int32),
            "bias": rng.integers(-999, 999, (2, 49, 99)).astype(np.int16),
            "mask": rng.integers(0, 2, (3, 49, 99)).astype(np.uint8),
        }
        return inputs, {"shift": 9, "multiplier": 20000, "log2": 0}
    if name == "IntWeightedMean":
        w = rng.integers(0, 256, (3, 131, 131)).astype(np.uint8)
        return {"W": w, "V": x}, {"shift": -7, "multiplier": 20000}
    if name == "IntAttention":
        qkv = rng.integers(-128, 128, (3, 131, 198)).astype(np.int8)
        softmax = {"softmax_shift": 4, "softmax_multiplier": 20000, "log2": 0}
        return {"QKV": qkv}, {"num_heads": 2, **softmax, "mean_shift": -7, "mean_multiplier": 20000}
    if name == "IntWindowAttention":
        inputs = {
            "QKV": rng.integers(-128, 128, (5, 21, 28, 192)).astype(np.int8),
            "bias": rng.integers(-999, 999, (2, 49, 49)).astype(np.int16),
            "mask": rng.integers(0, 2, (12, 49, 49)).astype(np.uint8),
        }
        sizes = {"window_height": 7, "window_width": 7, "roll_height": 3, "roll_width": 2}
        softmax = {"softmax_shift": 4, "softmax_multiplier": 20000, "log2": 0}
        return inputs, {**sizes, **softmax, "mean_shift": -7, "mean_multiplier": 20000}
    if name in ("IntLayerNorm", "IntRMSNorm"):
        inputs = {
            "X": rng.integers(-128, 128, (1301, 99)).astype(np.int8),
            "exponent": rng.integers(0, 4, 99).astype(np.int8),
            "shift": rng.integers(10, 16, 99).astype(np.int8),
            "multiplier": rng.integers(-32767, 32768, 99).astype(np.int16),
            "bias": rng.integers(-999, 999, 99).astype(np.int16),
        }
        if name == "IntRMSNorm":
            del inputs["bias"]
        return inputs, {"epsilon": 3}
    if name == "IntAdd":
        inputs = {
            "A": rng.integers(-128, 128, (3, 1301, 99)).astype(np.int8),
            "B": rng.integers(-128, 128, (1, 1301, 99)).astype(np.int8),
            "a_multiplier": rng.integers(0, 32768, 99).astype(np.int16),
            "b_multiplier": rng.integers(0, 32768, 99).astype(np.int16),
        }
        return inputs, {}
    if name == "IntRotary":
        inputs = {
            "X": rng.integers(-128, 128, (7, 3, 1301, 22)).astype(np.int8),
            "cos": rng.integers(-16384, 16385, (3, 1301, 22)).astype(np.int16),
            "sin": rng.integers(-16384, 16385, (3, 1301, 22)).astype(np.int16),
        }
        return inputs, {"pairs": 1, "shift": 9, "multiplier": 20000}
    if name == "IntGate":
        a, b = rng.integers(-128, 128, (2, 300001)).astype(np.int8)
        zero_points = {"a_zero_point": -100, "b_zero_point": 3}
        return {"A": a, "B": b}, {**zero_points, "shift": 2, "multiplier": 20000}
    assert name == "IntGELU", f"no inputs of {name}"
    table = rng.integers(-128, 128, (7, 256)).astype(np.int8)
    return {"X": rng.integers(-128, 128, (1301, 231)).astype(np.int8), "table": table}, {}


def small_inputs(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Valid inputs with K = 5, N = 6 and C = 7."""
    if name.startswith("Packed"):
        rng = np.random.default_rng(0)
        inputs, attributes = packed_inputs(4 if "Int4" in name else 8, 2, 5, 6, rng)
        if name.endswith("Add"):
            inputs["residual"] = np.zeros((2, 6), np.int8)
            inputs["residual_multiplier"] = np.full(6, 8192, np.int16)
        if name.endswith("GELU"):
            inputs["table"] = np.arange(512).astype(np.int8).reshape(2, 256)
        if name.endswith("ToInt32"):
            inputs = {key: inputs[key] for key in ("A", "B", "bias")}
        return inputs, attributes
    inputs, attributes = large_inputs(name, np.random.default_rng(0))
    if name in ("IntLayerNorm", "IntRMSNorm", "IntAdd"):
        inputs = {key: array[..., :7] for key, array in inputs.items()}
    return inputs, attributes
