"""What a call of each supported function means: one reader per function."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from pqv_onnx.trace.calls import Reader, Site
from pqv_onnx.trace.nodes import (
    Activation,
    Add,
    Attention,
    Concat,
    Gate,
    Linear,
    Max,
    Mean,
    Move,
    Negation,
    Node,
    Norm,
    Product,
    Scale,
    Softmax,
)
from pqv_onnx.trace.patches import convolution
from pqv_onnx.trace.values import Batch, Const, constant


def _linear(site: Site) -> Node:
    bound = site.bind("input", "weight", "bias")
    weight = bound["weight"]
    if not isinstance(weight, Const):
        site.refuse("a linear layer with computed weights")
    if isinstance(bound.get("bias"), Node):
        site.refuse("a linear layer with a computed bias")
    path = site.path
    if isinstance(weight.source, str):
        path = weight.source.removesuffix(".weight")
    return Linear(path, (bound["input"],), site.shape, weight, bound.get("bias"))


def _norm(site: Site) -> Node:
    """A layer norm, or one to a mean square of 1, which has no bias."""
    layer = site.name == "layer_norm"
    names = ("weight", "bias", "eps") if layer else ("weight", "eps")
    bound = site.bind("input", "normalized_shape", *names)
    weight, bias = bound.get("weight"), bound.get("bias")
    if len(bound["normalized_shape"]) != 1:
        site.refuse(f"normalizes {len(bound['normalized_shape'])} axes", "the last")
    if isinstance(bound["input"], Const) or isinstance(weight, Node) or isinstance(bias, Node):
        site.refuse("a normalisation with a computed weight or bias")
    eps = bound.get("eps", 1e-5 if layer else None)
    return Norm(site.path, (site.x,), site.shape, "layer" if layer else "rms", weight, bias, eps)


def _l2_norm(site: Site) -> Node:
    bound = site.bind("input", "p", "dim", "eps")
    norm, axis = bound.get("p", 2.0), bound.get("dim", 1)
    if norm != 2 or not _is_last(site, axis):
        site.refuse(f"normalizes by norm {norm} along axis {axis}", "2 along the last")
    return Norm(site.path, (site.x,), site.shape, "l2", eps=bound.get("eps", 1e-12))


def _is_last(site: Site, axis: object) -> bool:
    return axis in (-1, len(site.x.shape) - 1)


def _attention(site: Site) -> Node:
    bound = site.bind("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    mask = bound.get("attn_mask")
    if bound.get("is_causal"):
        site.refuse("causal attention")
    if isinstance(mask, Node) or (mask is not None and not mask.dtype.is_floating_point):
        site.refuse("attention with a mask that is computed or not of floats")
    query, key, value = bound["query"], bound["key"], bound["value"]
    if isinstance(key, Const) or isinstance(value, Const):
        site.refuse("attention with constant keys or values")
    scale = bound.get("scale")
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    biases = () if mask is None else (mask,)
    inputs, grouped = (query, key, value), bool(bound.get("enable_gqa"))
    return Attention(site.path, inputs, site.shape, (factor,), biases, grouped)


def _activation(site: Site) -> Node:
    name = site.name.removesuffix("_")
    if name == "gelu" and site.kwargs.get("approximate", "none") == "tanh":
        name = "gelu_tanh"
    return Activation(site.path, (site.x,), site.shape, name)


def _add(site: Site) -> Node:
    alpha = site.bind("input", "other", "alpha").get("alpha", 1)
    if alpha != 1:
        site.refuse(f"adds a multiple of {alpha}")
    if len(site.inputs) != 2:
        site.refuse("adds a number")
    return Add(site.path, site.inputs, site.shape)


def _sub(site: Site) -> Node:
    """a - b as a + (-1) b, the -1 in b's own factor if it has one."""
    bound = site.bind("input", "other", "alpha")
    minuend, subtrahend = bound["input"], bound["other"]
    if site.name == "rsub":
        minuend, subtrahend = subtrahend, minuend
    if bound.get("alpha", 1) != 1 or len(site.inputs) != 2:
        site.refuse("subtracts a number or a multiple")
    if isinstance(subtrahend, Const):
        shape = subtrahend.shape
        return Add(site.path, (minuend, constant(torch.neg, subtrahend, shape=shape)), site.shape)
    negative = Scale(site.path, (subtrahend,), subtrahend.shape, -1.0)
    if isinstance(subtrahend, Scale):
        by = subtrahend.by
        by = constant(torch.neg, by, shape=by.shape) if isinstance(by, Const) else -by
        negative = replace(subtrahend, by=by)
    return Add(site.path, (minuend, negative), site.shape)


def _addcmul(site: Site) -> Node:
    """bias + factor * x, which is how a layer without statistics is written."""
    bound = site.bind("input", "tensor1", "tensor2")
    bias, factors = bound["input"], (bound["tensor1"], bound["tensor2"])
    constants = [value for value in factors if isinstance(value, Const)]
    if bound.get("value", 1) != 1 or len(constants) != 1 or not isinstance(bias, Const):
        site.refuse("addcmul of computed values", "a constant factor and a constant")
    (factor,) = constants
    return Add(site.path, (Scale(site.path, (site.x,), site.shape, factor), bias), site.shape)


def _mul(site: Site) -> Node:
    bound = site.bind("input", "other")
    others = [x for x in (bound["input"], bound["other"]) if not isinstance(x, Node)]
    if not others:
        return Gate(site.path, site.inputs, site.shape)
    return _scale(site, others[0])


def _div(site: Site) -> Node:
    bound = site.bind("input", "other")
    dividend, divisor = bound["input"], bound["other"]
    if not isinstance(dividend, Node) or not isinstance(divisor, int | float):
        site.refuse("divides by a tensor")
    if bound.get("rounding_mode"):
        site.refuse("rounds a quotient")
    return _scale(site, 1 / divisor)


def _scale(site: Site, by: Any) -> Node:
    if not isinstance(by, int | float | Const):
        site.refuse(f"multiplies by {by}", "a number or a constant")
    if site.shape != site.x.shape:
        site.refuse("multiplies by a constant that gives the value another shape")
    return Scale(site.path, (site.x,), site.shape, by if isinstance(by, Const) else float(by))


def _softmax(site: Site) -> Node:
    axis = site.bind("input", "dim").get("dim")
    if not _is_last(site, axis):
        site.refuse(f"a softmax along axis {axis}", "the last")
    return Softmax(site.path, (site.x,), site.shape)


def _concat(site: Site) -> Node:
    bound = site.bind("tensors", "dim")
    axis = bound.get("dim", 0) % len(site.shape)
    if isinstance(site.shape[axis], Batch):
        site.refuse("concatenates along the batch")
    return Concat(site.path, site.inputs, site.shape, axis)


def _mean(site: Site) -> Node:
    bound = site.bind("input", "dim", "keepdim")
    axes = bound.get("dim")
    if axes is None:
        site.refuse("a mean over all axes")
    return _over(Mean, site, axes, bool(bound.get("keepdim", False)))


def _max(site: Site) -> Node:
    bound = site.bind("input", "dim", "keepdim")
    return _over(Max, site, bound.get("dim", ()), bool(bound.get("keepdim", False)))


def _pool(site: Site) -> Node:
    size = site.bind("input", "output_size")["output_size"]
    if size not in (1, (1, 1), [1, 1]):
        site.refuse(f"pools to {size}", "one value")
    return _over(Mean, site, (-2, -1), True)


def _over(kind: type[Mean | Max], site: Site, axes: Any, keep: bool) -> Node:
    count = len(site.x.shape)
    axes = tuple(axis % count for axis in ((axes,) if isinstance(axes, int) else axes))
    return kind(site.path, (site.x,), site.shape, axes, keep)


def _sum(site: Site) -> Node:
    """The sum of a stack's parts, as additions."""
    stack, axis = site.x, site.bind("input", "dim").get("dim")
    if not isinstance(stack, Move) or stack.function != "stack" or axis != 0:
        site.refuse("a sum along an axis")
    if _stack_axis(stack) != 0 or site.kwargs.get("keepdim"):
        site.refuse("a sum of a stack along another axis than its first")
    total, *rest = stack.inputs
    for part in rest:
        total = Add(site.path, (total, part), site.shape)
    if not isinstance(total, Node):
        site.refuse("a sum of constants")
    return total


def _stack_axis(stack: Move) -> object:
    args = stack.call.args
    return args[1] if len(args) > 1 else stack.call.kwargs.get("dim", 0)


READERS: dict[str, Reader] = {
    "linear": _linear,
    "conv2d": convolution,
    **dict.fromkeys(("layer_norm", "rms_norm"), _norm),
    "normalize": _l2_norm,
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("gelu", "silu", "relu", "relu6", "sigmoid", "tanh", "hardswish"), _activation),
    **dict.fromkeys(("silu_", "relu_", "sigmoid_", "tanh_"), _activation),
    **dict.fromkeys(("add", "add_"), _add),
    **dict.fromkeys(("sub", "sub_", "rsub"), _sub),
    **dict.fromkeys(("mul", "mul_"), _mul),
    "addcmul": _addcmul,
    **dict.fromkeys(("div", "div_", "true_divide"), _div),
    "matmul": lambda site: Product(site.path, site.inputs, site.shape),
    "softmax": _softmax,
    "neg": lambda site: Negation(site.path, (site.x,), site.shape),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    "mean": _mean,
    "amax": _max,
    "adaptive_avg_pool2d": _pool,
    "sum": _sum,
}
"""What makes a node of a call, by the function's name."""
