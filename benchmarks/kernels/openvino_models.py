"""Models of one op for OpenVINO, whose plugin for CPUs runs oneDNN where oneDNN has the op.

The same copies as in `benchmarks.kernels.onnx_models`. The caller imports openvino first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.kernels.cases import ATTENTION, COPIES, GELU, LAYER_NORM, MATMUL, WINDOWS, Case
from benchmarks.kernels.onnx_models import random_array


def int8(case: Case) -> Any | None:
    """int8 in and out, as nncf quantizes a model; only matmuls."""
    if case.kind != MATMUL:
        return None
    import openvino
    from openvino import opset13 as op

    rows, k, n = case.shape
    x = op.parameter([rows, k], np.int8)
    activations = op.multiply(op.convert(x, "f32"), op.constant(np.float32(0.02)))
    outputs = []
    for copy in range(COPIES):
        weights = op.constant(random_array(np.int8, (n, k), copy))
        scales = op.constant(np.full((n, 1), 0.01, np.float32))
        scaled = op.multiply(op.convert(weights, "f32"), scales)
        y = op.add(op.matmul(activations, scaled, False, True), _bias(n, openvino.Type.f32))
        limits = [np.float32(limit) for limit in (-38.4, 38.1, -128, 127)]
        outputs.append(op.convert(op.fake_quantize(y, *limits, 256), "i8"))
    return openvino.Model(outputs, [x])


def floating(case: Case, dtype: Any) -> Any:
    """float32 or bfloat16, in and out."""
    import openvino
    from openvino import opset13 as op

    if case.kind == MATMUL:
        rows, k, n = case.shape
        x = op.parameter([rows, k], dtype)
        outputs = []
        for copy in range(COPIES):
            weights = op.constant(random_array(np.float32, (n, k), copy), dtype)
            outputs.append(op.add(op.matmul(x, weights, False, True), _bias(n, dtype)))
        return openvino.Model(outputs, [x])
    if case.kind in (ATTENTION, WINDOWS):
        return _attention(case, dtype)
    x = op.parameter([COPIES, *case.shape], dtype)
    if case.kind == LAYER_NORM:
        ones = op.constant(np.ones(case.shape[1], np.float32), dtype)
        axes = op.constant(np.array([-1]))
        normal = op.mvn(x, axes, True, 1e-6, "INSIDE_SQRT")
        return openvino.Model([op.add(op.multiply(normal, ones), ones)], [x])
    y = op.gelu(x, "erf") if case.kind == GELU else op.softmax(x, -1)
    return openvino.Model([y], [x])


def _bias(n: int, dtype: Any) -> Any:
    from openvino import opset13 as op

    return op.constant(np.ones((1, n), np.float32), dtype)


def _attention(case: Case, dtype: Any) -> Any:
    import openvino
    from openvino import opset13 as op

    count, heads, tokens, depth = case.shape
    parts = [op.parameter([COPIES * count, tokens, heads, depth], dtype) for _ in range(3)]
    order = op.constant(np.array([0, 2, 1, 3]))
    inputs = [op.transpose(part, order) for part in parts]
    if case.kind == WINDOWS:
        inputs.append(op.constant(np.ones((1, heads, tokens, tokens), np.float32), dtype))
    y = op.transpose(op.scaled_dot_product_attention(*inputs), order)
    return openvino.Model([y], parts)
