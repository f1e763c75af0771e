"""What a graph consists of: ops, floats, multiply-accumulates, bytes."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from pqv_onnx.graph.accuracy import stated_accuracy
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.ops.domain import DOMAIN, OPS, Op
from pqv_onnx.ops.shapes import axis_sizes, count_macs

_FLOATS = {
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
}


def inspect_model(path: str | os.PathLike[str], batch: int = 1) -> dict[str, Any]:
    """Summarise an exported model.

    Args:
        path: the ``.onnx`` file.
        batch: what the dynamic batch dimension counts as, in MACs and activations.

    Returns:
        ``ops`` (count per domain and op), ``float_nodes`` (names of float nodes between the
        border nodes; empty in a sound export), ``macs`` (per inference, by op),
        ``weight_bits`` (by node with packed weights), ``weight_bytes`` (by bits per weight;
        ``other`` is every constant that is no matmul weight), ``activation_peak_bytes``,
        ``file_bytes``, ``accuracy`` (as the file states it, or None) and ``metadata``.

    Raises:
        PqvError: see `load_model` and `stated_accuracy`.
    """
    model = load_model(path)
    stated = stated_accuracy(metadata(model), path)
    return {
        "file_bytes": os.path.getsize(path),
        "ops": _count_ops(model),
        "float_nodes": float_nodes(model),
        "macs": _count_macs(model, batch),
        "weight_bits": _weight_bits(model),
        "weight_bytes": _weight_bytes(model),
        "activation_peak_bytes": _activation_peak(model, batch),
        "accuracy": stated.to_dict() if stated else None,
        "metadata": metadata(model),
    }


def value_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """Type and shape of every value in the main graph that states one."""
    graph = model.graph
    types = {v.name: v.type.tensor_type for v in (*graph.input, *graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        info = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        types[tensor.name] = info.type.tensor_type
    return types


def float_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of nodes that touch floating point between the border nodes.

    Border nodes are a QuantizeLinear that reads a graph input, a DequantizeLinear that writes a
    graph output, and what is computed from outputs alone; sizes are no values. Bodies of the
    attached functions are searched, too.
    """
    types = value_types(model)
    inputs = {value.name for value in model.graph.input}
    outputs = {value.name for value in model.graph.output}
    constants = {tensor.name for tensor in model.graph.initializer}
    outside = _computed_from(model, outputs, constants)

    def is_border(node: onnx.NodeProto) -> bool:
        if node.op_type == "QuantizeLinear":
            return node.input[0] in inputs
        if node.op_type == "Shape" or _reads_only(node, outside, constants):
            return True
        return node.op_type == "DequantizeLinear" and node.output[0] in outputs

    def touches_float(node: onnx.NodeProto) -> bool:
        named = (types[name] for name in (*node.input, *node.output) if name in types)
        return any(tensor.elem_type in _FLOATS for tensor in named)

    found = [node.name for node in model.graph.node if not is_border(node) and touches_float(node)]
    for function in model.functions:
        found += [f"{function.name}/{node.name}" for node in function.node if _makes_float(node)]
    return found


def _computed_from(model: onnx.ModelProto, values: set[str], constants: set[str]) -> set[str]:
    """Some values, sizes, and what is computed from these alone."""
    found = set(values)
    for node in model.graph.node:
        if node.op_type == "Shape" or _reads_only(node, found, constants):
            found.update(node.output)
    return found


def _reads_only(node: onnx.NodeProto, values: set[str], constants: set[str]) -> bool:
    read = set(node.input) - constants - {""}
    return bool(read) and read <= values


def _makes_float(node: onnx.NodeProto) -> bool:
    """Whether a node of a function body (which states no types) brings in floating point."""
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i in _FLOATS:
            return True
        if attribute.type in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS):
            return True
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in _FLOATS:
            return True
        if any(_makes_float(inner) for inner in attribute.g.node):
            return True
    return False


def _count_ops(model: onnx.ModelProto) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for node in model.graph.node:
        counts.setdefault(node.domain or "ai.onnx", Counter())[node.op_type] += 1
    return {domain: dict(counter.most_common()) for domain, counter in sorted(counts.items())}


def pqv_nodes(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, Op]]:
    """The nodes of the domain that this package knows, with what is declared of them."""
    for node in model.graph.node:
        if node.domain == DOMAIN and node.op_type in OPS:
            yield node, OPS[node.op_type]


def _dims(tensor: onnx.TypeProto.Tensor, batch: int) -> list[int]:
    return [dim.dim_value if dim.HasField("dim_value") else batch for dim in tensor.shape.dim]


def _count_macs(model: onnx.ModelProto, batch: int) -> dict[str, int]:
    types = value_types(model)
    macs: Counter[str] = Counter()
    for node, op in pqv_nodes(model):
        if op.macs:
            macs[op.name] += node_macs(node, op, types, batch)
    return {"total": sum(macs.values()), **dict(macs.most_common())}


def node_macs(
    node: onnx.NodeProto, op: Op, types: Mapping[str, onnx.TypeProto.Tensor], batch: int = 1
) -> int:
    """Multiply-accumulates of a node with inputs of these types."""
    inputs = {
        entry.name: (_dtype(types[name]), _dims(types[name], batch))
        for entry, name in zip(op.inputs, node.input, strict=True)
    }
    known = {attribute.name: attribute.i for attribute in node.attribute}
    return count_macs(op, axis_sizes(op, inputs, known))


def _dtype(tensor: onnx.TypeProto.Tensor) -> str:
    return str(helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64)) * _item_size(tensor.data_type)


def _item_size(elem_type: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(elem_type).itemsize)


def _weight_bits(model: onnx.ModelProto) -> dict[str, int]:
    return {node.name: op.weight_bits for node, op in pqv_nodes(model) if op.weight_bits}


def _weight_bytes(model: onnx.ModelProto) -> dict[str, int]:
    kinds = {
        name: f"int{entry.weight_bits}"
        for node, op in pqv_nodes(model)
        for entry, name in zip(op.inputs, node.input, strict=True)
        if entry.weight_bits
    }
    total: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        total[kinds.get(tensor.name, "other")] += _tensor_bytes(tensor)
    return dict(total.most_common())


def _activation_peak(model: onnx.ModelProto, batch: int) -> int:
    """Largest sum of live activations over the graph's order, in bytes."""
    types = value_types(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes = model.graph.node
    last_use = {name: step for step, node in enumerate(nodes) for name in node.input}
    for value in model.graph.output:
        last_use[value.name] = len(nodes)

    def size(name: str) -> int:
        if name not in types or name in constants:
            return 0
        return math.prod(_dims(types[name], batch)) * _item_size(types[name].elem_type)

    live = peak = sum(size(value.name) for value in model.graph.input)
    for step, node in enumerate(nodes):
        live += sum(size(name) for name in node.output)
        peak = max(peak, live)
        live -= sum(size(name) for name in set(node.input) if last_use[name] == step)
    return peak
