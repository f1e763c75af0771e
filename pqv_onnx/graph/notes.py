"""What a viewer shows of an exported file: what each node does, what integers stand for.

Nothing is computed from it. A value has the quantization annotations ``bits``, ``scale`` and
``zero_point``, and ``exponents`` where channels have steps of their own: each integer stands for
``(integer - zero_point) * scale * 2^exponent``. They are numbers in text, and not the names of
tensors that ONNX's SCALE_TENSOR takes: onnxruntime warns of each tensor that no node reads. Where
a border node reads such tensors, they are named, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from pqv_onnx.files import write_atomically
from pqv_onnx.graph.load import load_model, read_proto
from pqv_onnx.graph.summary import node_macs, pqv_nodes, value_types
from pqv_onnx.integer.codes import Codes
from pqv_onnx.ops.documentation import OUTPUT, summary
from pqv_onnx.ops.domain import Op

_MOVES = ("Reshape", "Transpose", "Gather", "Slice", "Squeeze", "Concat", "Expand")
"""Standard nodes whose result consists of their input's integers."""
IMAGE = "quantize"
"""The module that makes integers of images."""
_JOINT = ",\n"
_RUNS = 4
"""How many runs of equal numbers are written one by one."""


def write_notes(model: onnx.ModelProto, codes: Mapping[str, Codes]) -> None:
    """Document the nodes and annotate the values of an exported model, in place.

    Args:
        model: with its functions.
        codes: by the name of the value or initializer; those of weights are documented only, as
            each output channel has a step.
    """
    types = value_types(model)
    known = _spread(model.graph, codes, types)
    _annotate(model.graph, known)
    summaries = {function.name: summary(function) for function in model.functions}
    for node, op in pqv_nodes(model):
        parts = list(_operands(node, op, known))
        if op.macs:
            parts.append(f"{node_macs(node, op, types):,} MACs per image")
        node.doc_string = _sentence(summaries[op.name], parts)
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            node.doc_string = _sentence("Images as integers", _shown(known, node.output[0]))
        if node.op_type == "DequantizeLinear":
            node.doc_string = "Integers as real numbers, by the step of each channel."


def write_noise(path: str | os.PathLike[str], sqnr: Mapping[str, float | None]) -> None:
    """Add the noise behind each part of a model to what is said of the part's last matmul.

    Args:
        path: an exported file; written whole or not at all.
        sqnr: in dB, by the part's name (see `pqv_onnx.qat.noise`); None: there is no noise.

    Raises:
        PqvError: see `load_model`; or the file cannot be written.
    """
    load_model(path)  # checks it
    model = read_proto(path, external_data=False)
    last = {
        node.name.rpartition(".")[0] or node.name: node
        for node, op in pqv_nodes(model)
        if op.weight_bits
    }
    for part, value in sqnr.items():
        if part in last and value is not None:
            node = last[part]
            node.doc_string = f"{node.doc_string.rstrip('.')}{_JOINT}{value:.1f} dB SQNR behind it."
    write_atomically(path, model.SerializeToString())


def _sentence(what: str, parts: list[str]) -> str:
    """One sentence; viewers do not wrap it, so that each part has a line of its own."""
    text = what.rstrip(".")
    return f"{text};\n{_JOINT.join(parts)}." if parts else f"{text}."


def _spread(
    graph: onnx.GraphProto, codes: Mapping[str, Codes], types: Mapping[str, onnx.TypeProto.Tensor]
) -> dict[str, Codes]:
    """The codes of all values: the image's, and what standard nodes pass on."""
    known = dict(codes)
    image = known.pop(IMAGE, None)
    if image is not None:
        known[f"{IMAGE}.table"] = image
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and image is not None:
            known[node.output[0]] = image
        found = {id(known[name]): known[name] for name in node.input if name in known}
        if node.op_type in _MOVES and not node.domain and len(found) == 1:
            (moved,) = found.values()
            by_channel = moved.exponent is not None or moved.step.ndim > 0
            if not by_channel or _keeps_channels(node, types):
                known.setdefault(node.output[0], moved)
    return known


def _keeps_channels(node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto.Tensor]) -> bool:
    """Whether a node works along another axis than the last."""
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), None)
    rank = len(types[node.output[0]].shape.dim)
    if node.op_type == "Gather":
        rank = len(types[node.input[0]].shape.dim)
    return axis is not None and axis not in (-1, rank - 1)


def _annotate(graph: onnx.GraphProto, known: Mapping[str, Codes]) -> None:
    tensors = dict(_border_tensors(graph))
    for name in (name for node in graph.node for name in node.output):
        entries = {**(_entries(known[name]) if name in known else {}), **tensors.get(name, {})}
        if entries:
            annotation = graph.quantization_annotation.add(tensor_name=name)
            for key, value in entries.items():
                annotation.quant_parameter_tensor_names.add(key=key, value=value)


def _border_tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, dict[str, str]]]:
    """The tensors of ONNX's own nodes for the value that they quantize."""
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            value = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
            keys = ("SCALE_TENSOR", "ZERO_POINT_TENSOR")
            yield value, dict(zip(keys, node.input[1:], strict=False))


def _entries(codes: Codes) -> dict[str, str]:
    entries = {
        "bits": str(codes.bits),
        "scale": _text(codes.step).replace(", ", _JOINT),
        "zero_point": _text(codes.zero_point).replace(", ", _JOINT),
    }
    if codes.exponent is not None:
        entries["exponents"] = "".join(map(str, codes.exponent.tolist()))
    return entries


def _operands(node: onnx.NodeProto, op: Op, known: Mapping[str, Codes]) -> Iterator[str]:
    """What a node's inputs and its output stand for."""
    names = [entry.name for entry in op.inputs]
    for name, value in zip([*names, OUTPUT], [*node.input, *node.output], strict=True):
        for text in _shown(known, value):
            yield f"{name} {text}"


def _shown(known: Mapping[str, Codes], value: str) -> list[str]:
    if value not in known:
        return []
    codes = known[value]
    step = _text(codes.step, digits=3)
    if codes.exponent is not None:
        step += f" times 1 to {2 ** int(codes.exponent.max())}"
    return [f"{codes.bits}-bit of step {step}"]


def _text(values: NDArray[np.generic], digits: int = 7) -> str:
    """A number, some runs of equal ones along the channels, or their range."""
    flat = values.reshape(-1)
    starts = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist()]
    numbers = [f"{flat[start]:.{digits}g}" for start in starts]
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) > _RUNS:
        return f"{flat.min():.{digits}g} to {flat.max():.{digits}g}"
    ends = [*starts[1:], len(flat)]
    spans = zip(numbers, starts, ends, strict=True)
    return ", ".join(f"{number} [{start}:{end}]" for number, start, end in spans)
