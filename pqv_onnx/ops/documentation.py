"""What a reader of an exported file sees of the ops' definitions: documentation and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import onnx
from onnx import numpy_helper

from pqv_onnx.ops.domain import DOMAIN, OPS, Attribute, Input, Op
from pqv_onnx.ops.shapes import describe

OUTPUT = "Y"

_MEANINGS = {
    "A": "activations",
    "B": "weights, packed as `layout` says",
    "IntMatMul.A": "queries",
    "IntMatMul.B": "keys",
    "IntAdd.A": "first addend",
    "IntAdd.B": "second addend",
    "IntGate.A": "first factor",
    "IntGate.B": "second factor",
    "X": "codes",
    "IntSoftmax2n.X": "logits",
    "IntSoftmax2nBias.X": "logits of windows and heads",
    "W": "attention weights, not normalised",
    "V": "values",
    "QKV": "queries, keys and values side by side",
    "bias": "added to the sums, zero point of A included",
    "IntLayerNorm.bias": "added to the result; 64 is one step of Y",
    "IntSoftmax2nBias.bias": "added to the logits, by head and pair of places",
    "IntWindowAttention.bias": "added to the logits, by head and pair of places",
    "mask": "nonzero where a place is left out",
    "exponent": "steps of X are a common one times 2^exponent, by channel",
    "shift": "rounding right shift of the accumulator, before `multiplier`",
    "multiplier": "what the shifted accumulator is multiplied by, over 2^15",
    "residual": "codes that are added, in steps of their own",
    "residual_multiplier": "2^13 times the ratio of residual's step to Y's",
    "a_multiplier": "2^13 times the ratio of A's step to Y's",
    "b_multiplier": "2^13 times the ratio of B's step to Y's",
    "table": "Y for each code, from -128 on; for each of G groups of neighbouring channels",
    "cos": "cosine of each element's angle, times 2^14",
    "sin": "sine of each element's angle, times 2^14",
    "layout": "how weights are packed",
    "K": "length of the sums",
    "N": "output channels",
    "y_bits": "bits of Y",
    "log2": "1: weights are powers of two; 0: they are uniform",
    "num_heads": "heads",
    "softmax_shift": "shift of the softmax",
    "softmax_multiplier": "multiplier of the softmax",
    "mean_shift": "shift of the weighted mean",
    "mean_multiplier": "multiplier of the weighted mean",
    "window_height": "tokens of a window from top to bottom",
    "window_width": "tokens of a window from left to right",
    "roll_height": "how far the image is rolled up before it is cut",
    "roll_width": "how far the image is rolled to the left before it is cut",
    "epsilon": "added to C^2 times the variance, in steps of X",
    "pairs": "1: neighbours turn together; 0: halves do",
    "a_zero_point": "code of A that means 0",
    "b_zero_point": "code of B that means 0",
}
"""Of inputs and attributes, by name; of one op, by its name and theirs."""


def meaning(op: Op, name: str) -> str:
    """What an input or attribute is."""
    return _MEANINGS.get(f"{op.name}.{name}") or _MEANINGS[name]


def summary(function: onnx.FunctionProto) -> str:
    """The first sentence of a function's documentation."""
    return str(function.doc_string).strip().partition("\n")[0]


def document(function: onnx.FunctionProto) -> None:
    """Make a definition readable: parameters documented, every value named.

    The names are those of ``docs/ops.md`` where there are some; else a value is called after the
    node that makes it, a constant after its value.
    """
    function.doc_string = re.sub(r"\n +", "\n", function.doc_string.strip())
    if function.domain == DOMAIN:
        function.doc_string += f"\n\n{_parameters(OPS[function.name])}"
    _rename(function, _readable_names(function))


def _parameters(op: Op) -> str:
    """A line for each input and attribute, and for the output."""
    lines = [f"- {entry.name}: {_type(entry)}, {meaning(op, entry.name)}" for entry in op.inputs]
    for attribute in op.attributes:
        lines.append(f"- {attribute.name}: {_range(attribute)}, {meaning(op, attribute.name)}")
    return "\n".join([*lines, f"- {OUTPUT}: {op.output_dtype} [{', '.join(op.output_dims)}]"])


def _type(entry: Input) -> str:
    return f"{'constant ' if entry.constant else ''}{entry.dtype} [{', '.join(entry.dims)}]"


def _range(attribute: Attribute) -> str:
    values = attribute.values
    text = values if isinstance(values, str) else f"int {describe(values)}"
    return text if attribute.default is None else f"{text} (default {attribute.default})"


def _readable_names(function: onnx.FunctionProto) -> dict[str, str]:
    """New names for values that have none of their own."""
    nodes = list(all_nodes(function.node))
    taken = {*function.input, *(name for node in nodes for name in node.output)}
    found: dict[str, str] = {}
    for node in nodes:
        for name in node.output:
            if name in function.output:
                wanted = OUTPUT
            elif re.fullmatch(r"tmp(_\d+)?", name):
                wanted = _made_by(node)
            else:
                continue
            found[name] = _free(wanted, taken | set(found.values()))
    return found


def _made_by(node: onnx.NodeProto) -> str:
    """A name for what a node makes: of a constant its value or attribute, else the op."""
    if node.op_type != "Constant":
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.op_type).lower()
    (attribute,) = node.attribute
    if attribute.ref_attr_name:
        return str(attribute.ref_attr_name)
    values = numpy_helper.to_array(attribute.t).flatten().tolist()
    return "constant_" + "_".join(str(value).replace("-", "minus_") for value in values)


def _free(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name


def _rename(function: onnx.FunctionProto, names: Mapping[str, str]) -> None:
    def renamed(old: str) -> str:
        return names.get(old, old)

    function.output[:] = map(renamed, function.output)
    for node in all_nodes(function.node):
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
        for attribute in node.attribute:
            for value in attribute.g.output:
                value.name = renamed(value.name)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Each node, then those of its branches."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from all_nodes(attribute.g.node)
