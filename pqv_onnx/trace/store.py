"""A graph as JSON: what a model computes without the values of its constants.

A checkpoint holds it, so that neither timm nor the model's class is needed to read one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace import nodes as kinds
from pqv_onnx.trace.evaluate import check_shapes
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Move, Node
from pqv_onnx.trace.values import Batch, Call, Const, Operand, map_leaves, resolved


@dataclass(frozen=True, eq=False)
class Stored(Const):
    """A constant without its value, which is kept elsewhere.

    Attributes:
        source: the first parameter (or else buffer) that it is computed from, or nothing.
        trained: whether it is computed from a parameter.
    """

    trained: bool = True


_KINDS: dict[str, type[Node]] = {
    cls.__name__.lower(): cls
    for cls in vars(kinds).values()
    if isinstance(cls, type) and issubclass(cls, Node) and cls is not Node
}
_MOVES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(Tensor, name)
        for name in (
            *("reshape", "flatten", "unflatten", "expand", "unbind", "chunk", "split"),
            *("tensor_split", "permute", "transpose", "swapaxes", "movedim", "unsqueeze"),
            *("squeeze", "__getitem__", "narrow", "select", "roll", "repeat_interleave", "unfold"),
        )
    },
    "T": Tensor.T.__get__,  # type: ignore[attr-defined]
    "mT": Tensor.mT.__get__,  # type: ignore[attr-defined]
    "stack": torch.stack,
    "pad": F.pad,
}
"""What a move may call, by the name that it has in a recording."""
_MAX_NODES = 100_000
_OUTPUTS = "outputs"
"""The kind of the entry that names several outputs."""


def detach(graph: Graph, model: nn.Module) -> Graph:
    """The graph whose constants have no values."""
    parameters = {name for name, _ in model.named_parameters()}

    def forget(const: Const) -> Const:
        name = min(const.names(), key=lambda name: name not in parameters, default="")
        return Stored(name, resolved(const.shape), const.dtype, name in parameters)

    return graph.rewrite(lambda node, _: map_consts(forget, node))


def map_consts(function: Callable[[Const], Const], node: Node) -> Node:
    """The node with each of its constants replaced."""

    def change(leaf: Any) -> Any:
        return function(leaf) if isinstance(leaf, Const) else leaf

    values = {field.name: getattr(node, field.name) for field in fields(node)}
    return replace(node, **map_leaves(change, values))


def to_json(graph: Graph) -> list[dict[str, Any]]:
    """The nodes in order; an input is its node's place in the list, or a constant.

    If there are several outputs, they are the inputs of a last entry.
    """
    places = {node: place for place, node in enumerate(graph.nodes)}

    def plain(leaf: Any) -> Any:
        if isinstance(leaf, Node):
            return {"node": places[leaf]}
        if isinstance(leaf, Const):
            trained = isinstance(leaf, Stored) and leaf.trained
            return {"const": leaf.source, "trained": trained, "shape": list(leaf.shape)}
        if isinstance(leaf, Batch):
            return {"batch": leaf.times}
        if isinstance(leaf, Operand):
            return {"input": leaf.index}
        if isinstance(leaf, Call):
            arguments = {"args": _plain(leaf.args, plain), "kwargs": _plain(leaf.kwargs, plain)}
            return {"call": leaf.name, **arguments, "index": leaf.index}
        return {"dots": True} if leaf is Ellipsis else leaf

    entries = [
        {"kind": node.kind}
        | {field.name: _plain(getattr(node, field.name), plain) for field in fields(node)}
        for node in graph.nodes
    ]
    if len(graph.outputs) > 1:
        entries.append({"kind": _OUTPUTS, "inputs": _plain(graph.outputs, plain)})
    return entries


def _plain(tree: Any, plain: Callable[[Any], Any]) -> Any:
    if isinstance(tree, tuple | list):
        return [_plain(part, plain) for part in tree]
    if isinstance(tree, Mapping):
        return {key: _plain(part, plain) for key, part in tree.items()}
    if isinstance(tree, slice):
        return {"slice": [_plain(part, plain) for part in (tree.start, tree.stop, tree.step)]}
    return plain(tree)


def from_json(data: object) -> Graph:
    """Rebuild a graph from ``to_json``'s list, or from the same as JSON.

    Raises:
        PqvError: it is not such a list.
    """
    if not isinstance(data, list) or not 0 < len(data) <= _MAX_NODES:
        raise PqvError("graph: expected a list of nodes")
    made: list[Node] = []
    outputs: tuple[Node, ...] = ()
    for place, entry in enumerate(data):
        try:
            if outputs:
                raise ValueError("behind the outputs")
            if entry["kind"] == _OUTPUTS:
                outputs = _outputs(entry, made)
            else:
                made.append(_node(entry, made))
        # Whatever a damaged entry lacks.
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise PqvError(f"graph: node {place} is damaged ({error})") from None
    graph = Graph.of(*(outputs or made[-1:]))
    if not isinstance(graph.nodes[0], kinds.Input) or len(graph.input.shape) != 4:
        raise PqvError("graph: the first node is not an image")
    check_shapes(graph)
    return graph


def _node(entry: Any, made: list[Node]) -> Node:
    cls = _KINDS[entry["kind"]]
    if set(entry) != {"kind"} | {field.name for field in fields(cls)}:
        raise ValueError(f"fields of {entry['kind']}")
    values = {field.name: _value(entry[field.name], made) for field in fields(cls)}
    node = cls(**values)
    if not isinstance(node.path, str) or not isinstance(node.inputs, tuple):
        raise ValueError("path or inputs")
    if not all(isinstance(value, Node | Const) for value in node.inputs):
        raise ValueError("inputs")
    if isinstance(node, Move) and not isinstance(node.call, Call):
        raise ValueError("call")
    _check_shape(node.shape)
    return node


def _outputs(entry: Any, made: list[Node]) -> tuple[Node, ...]:
    found = tuple(_value(entry["inputs"], made))
    if len(found) < 2 or not all(isinstance(node, Node) for node in found):
        raise ValueError("outputs")
    return found


def _value(data: Any, made: list[Node]) -> Any:
    if isinstance(data, list):
        return tuple(_value(part, made) for part in data)
    if not isinstance(data, dict):
        return data
    if "node" in data:
        if not 0 <= data["node"] < len(made):
            raise ValueError("an input that comes later")
        return made[data["node"]]
    if "const" in data:
        shape = tuple(data["shape"])
        _check_shape(shape)
        return Stored(str(data["const"]), shape, trained=bool(data["trained"]))
    if "slice" in data:
        return slice(*_value(data["slice"], made))
    if "call" in data:
        kwargs = {key: _value(part, made) for key, part in data["kwargs"].items()}
        return Call(_MOVES[data["call"]], _value(data["args"], made), kwargs, data["index"])
    if "batch" in data:
        return Batch(data["batch"])
    return Operand(data["input"]) if "input" in data else Ellipsis


def _check_shape(shape: Any) -> None:
    sizes = [size.times if isinstance(size, Batch) else size for size in shape]
    if not all(type(size) is int and 0 <= size < 2**24 for size in sizes):
        raise ValueError(f"shape {sizes}")
