"""Models of one op for onnxruntime: our kernels and its own.

A matmul is there `COPIES` times, each with weights of its own, as the layers of a model have them;
every other op once, on a batch of `COPIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.kernels.cases import (
    ATTENTION,
    COPIES,
    GELU,
    LAYER_NORM,
    MATMUL,
    SOFTMAX,
    WINDOWS,
    Case,
)
from pqv_onnx.ops.domain import DOMAIN, PACKED_LAYOUT, VERSION
from pqv_onnx.packing import pack_weight

MICROSOFT = "com.microsoft"
_BLOCK = 32  # weights that share a scale in MatMulNBits

Arrays = dict[str, Any]


class OneOp:
    """A model that grows by nodes of one op.

    Attributes:
        op: its name.
        feeds: the inputs.
    """

    def __init__(self, op: str, domain: str, **attributes: Any) -> None:
        self.op = op
        self.feeds: Arrays = {}
        self._domain = domain
        self._attributes = attributes
        self._constants: Arrays = {}
        self._nodes: list[onnx.NodeProto] = []

    def add(self, inputs: dict[str, Any], *constants: str) -> OneOp:
        """Add a node: arrays, None for an input left out; ``constants`` names those in the file."""
        names = []
        for name, array in inputs.items():
            if array is None:
                names.append("")
            elif name in constants:
                names.append(f"{name}_{len(self._nodes)}")
                self._constants[names[-1]] = np.asarray(array)
            else:
                names.append(name)
                self.feeds[name] = array
        output = f"Y_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(self.op, names, [output], domain=self._domain, **self._attributes)
        )
        return self

    def serialize(self) -> bytes:
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in self.feeds.items()
        ]
        graph = helper.make_graph(
            self._nodes,
            self.op,
            inputs,
            [helper.make_empty_tensor_value_info(node.output[0]) for node in self._nodes],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        opsets = {"": 18, MICROSOFT: 1, DOMAIN: VERSION}
        imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
        model: bytes = helper.make_model(
            graph, opset_imports=imports, ir_version=10
        ).SerializeToString()
        return model


def random_array(dtype: Any, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Integers of the type's whole range but its lowest; floats of a normal distribution."""
    generator = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.floating):
        return generator.standard_normal(shape, np.float32).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min + 1, limits.max, shape, dtype, endpoint=True)


def pqv(bits: int) -> Callable[[Case], OneOp | None]:
    """Our op, with weights and attention of so many bits."""

    def make(case: Case) -> OneOp | None:
        if case.kind == MATMUL:
            return _packed_matmul(case, bits)
        log2 = int(bits == 4)
        softmax = {"softmax_shift": 5, "softmax_multiplier": 20000, "log2": log2}
        scales = {**softmax, "mean_shift": -7, "mean_multiplier": 20000, "y_bits": bits}
        if case.kind == ATTENTION:
            _, heads, tokens, depth = case.shape
            qkv = random_array(np.int8, (COPIES, tokens, 3 * heads * depth))
            return OneOp("IntAttention", DOMAIN, num_heads=heads, **scales).add({"QKV": qkv})
        if case.kind == WINDOWS:
            return _window_attention(case, scales)
        if case.kind == SOFTMAX:
            logits = random_array(np.int16, (COPIES, *case.shape)).astype(np.int32)
            one = OneOp("IntSoftmax2n", DOMAIN, shift=5, multiplier=20000, log2=log2)
            return one.add({"X": logits})
        if bits == 4:
            return None  # the two others are the same for both
        x = random_array(np.int8, (COPIES, *case.shape))
        if case.kind == GELU:
            return OneOp("IntGELU", DOMAIN).add(
                {"X": x, "table": random_array(np.int8, (4, 256))}, "table"
            )
        constants = {
            "exponent": np.zeros(case.shape[1], np.int8),
            "shift": np.full(case.shape[1], 13, np.int8),
            "multiplier": np.full(case.shape[1], 20000, np.int16),
            "bias": np.zeros(case.shape[1], np.int16),
        }
        return OneOp("IntLayerNorm", DOMAIN, epsilon=100).add({"X": x, **constants}, *constants)

    return make


def _packed_matmul(case: Case, bits: int) -> OneOp:
    rows, k, n = case.shape
    one = OneOp(f"PackedInt{bits}MatMul", DOMAIN, layout=PACKED_LAYOUT, K=k, N=n)
    x = random_array(np.int8, (rows, k))
    for copy in range(COPIES):
        weights = random_array(np.int8, (k, n), copy)
        constants = {
            "B": pack_weight(weights if bits == 8 else weights // 19, bits),
            "bias": np.zeros(n, np.int32),
            "shift": np.full(n, 8, np.int8),
            "multiplier": np.full(n, 20000, np.int16),
        }
        one.add({"A": x, **constants}, *constants)
    return one


def _window_attention(case: Case, scales: dict[str, int]) -> OneOp:
    windows, heads, tokens, depth = case.shape
    side, window = int((windows * tokens) ** 0.5), int(tokens**0.5)
    places = {"window_height": window, "window_width": window, "roll_height": 0, "roll_width": 0}
    constants = {
        "bias": random_array(np.int8, (heads, tokens, tokens)).astype(np.int16),
        "mask": np.zeros((1, tokens, tokens), np.uint8),
    }
    qkv = random_array(np.int8, (COPIES, side, side, 3 * heads * depth))
    one = OneOp("IntWindowAttention", DOMAIN, **places, **scales)
    return one.add({"QKV": qkv, **constants}, *constants)


def float32(case: Case) -> OneOp | None:
    """What onnxruntime runs in a float model, fused as it would fuse it."""
    if case.kind == MATMUL:
        rows, k, n = case.shape
        one = OneOp("Gemm", "")
        x = random_array(np.float32, (rows, k))
        for copy in range(COPIES):
            weights = random_array(np.float32, (k, n), copy)
            one.add({"A": x, "B": weights, "C": np.zeros(n, np.float32)}, "B", "C")
        return one
    if case.kind in (ATTENTION, WINDOWS):
        count, heads, tokens, depth = case.shape
        parts = [
            random_array(np.float32, (COPIES * count, tokens, heads * depth), part)
            for part in range(3)
        ]
        inputs: dict[str, Any] = dict(zip("QKV", parts, strict=True))
        if case.kind == WINDOWS:
            bias = np.zeros((1, heads, tokens, tokens), np.float32)
            inputs |= {"no_bias": None, "no_mask": None, "attention_bias": bias}
        return OneOp("MultiHeadAttention", MICROSOFT, num_heads=heads).add(inputs, "attention_bias")
    x = random_array(np.float32, (COPIES, *case.shape))
    if case.kind == LAYER_NORM:
        ones = np.ones(case.shape[1], np.float32)
        one = OneOp("LayerNormalization", "", axis=-1)
        return one.add({"X": x, "scale": ones, "bias": ones}, "scale", "bias")
    if case.kind == GELU:
        return OneOp("Gelu", MICROSOFT).add({"X": x})
    return OneOp("Softmax", "").add({"X": x})


def _zero(shape: int | None = None, dtype: type[np.generic] = np.uint8) -> np.ndarray:
    return np.full(() if shape is None else shape, 128 if dtype == np.uint8 else 0, dtype)


def qlinear(case: Case) -> OneOp | None:
    """int8 in and out: what static quantization makes of a model."""
    scale = np.float32(0.02)
    if case.kind == SOFTMAX:
        constants: Arrays = {"scale": scale, "zero": _zero(), "y_scale": np.float32(1 / 256)}
        constants |= {"y_zero": np.uint8(0)}
        one = OneOp("QLinearSoftmax", MICROSOFT, axis=-1, opset=13)
        x = random_array(np.uint8, (COPIES, *case.shape))
        return one.add({"X": x, **constants}, *constants)
    if case.kind != MATMUL:
        return None
    rows, k, n = case.shape
    one = OneOp("QLinearMatMul", "")
    x = random_array(np.uint8, (rows, k))
    for copy in range(COPIES):
        constants: Arrays = {
            "scale": scale,
            "zero": _zero(),
            "B": random_array(np.int8, (k, n), copy),
        }
        constants |= {"B_scale": np.full(n, scale), "B_zero": _zero(n, np.int8)}
        constants |= {"y_scale": np.float32(0.3), "y_zero": _zero()}
        one.add({"A": x, **constants}, *constants)
    return one


def integer(case: Case) -> OneOp | None:
    """The bare product of int8, its int32 sums left to others: dynamic quantization."""
    if case.kind != MATMUL:
        return None
    rows, k, n = case.shape
    one = OneOp("MatMulInteger", "")
    x = random_array(np.uint8, (rows, k))
    for copy in range(COPIES):
        one.add({"A": x, "B": random_array(np.int8, (k, n), copy), "zero": _zero()}, "B", "zero")
    return one


def nbits(case: Case) -> OneOp | None:
    """Weights in 4 bits, activations float32, arithmetic in int8."""
    if case.kind != MATMUL:
        return None
    rows, k, n = case.shape
    layout = {"K": k, "N": n, "bits": 4, "block_size": _BLOCK, "accuracy_level": 4}
    one = OneOp("MatMulNBits", MICROSOFT, **layout)
    x = random_array(np.float32, (rows, k))
    for copy in range(COPIES):
        codes = random_array(np.uint8, (n, k // _BLOCK, _BLOCK // 2), copy)
        scales = np.full(n * k // _BLOCK, 0.02, np.float32)
        one.add({"A": x, "B": codes, "scales": scales}, "B", "scales")
    return one
