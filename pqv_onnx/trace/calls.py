"""Recorded calls to nodes, one by one: constants folded, what changes nothing left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch

from pqv_onnx.trace.nodes import Input, Move, Node
from pqv_onnx.trace.record import Recorded, Recording, Value
from pqv_onnx.trace.refusals import refuse
from pqv_onnx.trace.values import (
    Batch,
    Call,
    Const,
    Operand,
    Shape,
    function_name,
    map_leaves,
    mark_batch,
    mark_shape,
    tree_leaves,
)

_SAME = {"dropout", "alpha_dropout", "contiguous", "to", "type", "type_as", "float", "detach"}
"""Functions whose result is their argument, in evaluation mode and if the dtype stays."""

_RANDOM = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal"}
_RESHAPES = {"reshape", "view", "flatten", "unflatten", "expand", "reshape_as", "view_as"}
_SEVERAL = {"unbind", "chunk", "split", "tensor_split"}
_MOVES = {
    *_RESHAPES,
    *_SEVERAL,
    *("permute", "transpose", "swapaxes", "movedim", "T", "mT", "unsqueeze", "squeeze"),
    *("__getitem__", "narrow", "select", "stack", "roll", "pad", "repeat_interleave"),
}


@dataclass(frozen=True)
class Site:
    """A call of which an argument depends on the image.

    Attributes:
        name: the function's.
        path: the module's.
        args: positional arguments, with nodes and constants for tensors.
        kwargs: keyword arguments, likewise.
        inputs: the nodes and constants among them, in order.
        shape: of the first output.
        call: the same call with operands for the inputs.
    """

    name: str
    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Node | Const, ...]
    shape: Shape
    call: Call

    @property
    def x(self) -> Node:
        """The first value that depends on the image."""
        return next(value for value in self.inputs if isinstance(value, Node))

    def bind(self, *names: str) -> dict[str, Any]:
        """The arguments by name, if ``names`` are those of the function, in order."""
        return dict(zip(names, self.args, strict=False)) | self.kwargs

    def refuse(self, found: str, expected: str = "") -> NoReturn:
        """Raise PqvError with one sentence that begins with the path."""
        refuse(self.path, found, expected)


Reader = Callable[[Site], Node]


@dataclass
class Builder:
    """Turns calls into values: nodes and constants.

    Attributes:
        readers: what makes a node of a call, by the function's name.
    """

    readers: dict[str, Reader]
    _values: dict[Value, Node | Const] = field(default_factory=dict)

    def build(self, recording: Recording) -> list[Node]:
        """The nodes of the recording's outputs.

        Raises:
            PqvError: a call that no rule takes, or an output that is a constant.
        """
        image = recording.image
        self._values[image] = Input("", (), mark_shape(image.shape))
        for call in recording.calls:
            self._read(call)
        outputs = [self._value(output) for output in recording.outputs]
        if not all(isinstance(output, Node) for output in outputs):
            refuse("", "gives a value that does not depend on the image")
        return outputs

    def _value(self, leaf: Any) -> Any:
        if isinstance(leaf, Value):
            if leaf not in self._values:
                self._values[leaf] = Const(leaf.name, mark_shape(leaf.shape), leaf.dtype)
            return self._values[leaf]
        return mark_batch(leaf)

    def _read(self, recorded: Recorded) -> None:
        name = function_name(recorded.function)
        try:
            args, kwargs = map_leaves(self._value, (recorded.args, recorded.kwargs))
            shapes = [mark_shape(output.shape) for output in recorded.outputs]
        except ValueError as error:
            refuse(recorded.path, f"{name} has a size {error} computed from the batch's")
        inputs = tuple(leaf for leaf in tree_leaves((args, kwargs)) if _is_value(leaf))
        several = name in _SEVERAL or len(shapes) > 1
        for index, (output, shape) in enumerate(zip(recorded.outputs, shapes, strict=True)):
            which = index if several else None
            if not any(isinstance(value, Node) for value in inputs):
                self._values[output] = _const(recorded, args, kwargs, output, shape, which)
                continue
            numbered = _numbered(args, kwargs)
            call = Call(recorded.function, *numbered, which)
            site = Site(name, recorded.path, args, kwargs, inputs, shape, call)
            self._values[output] = self._node(site, recorded, output)

    def _node(self, site: Site, recorded: Recorded, output: Value) -> Node | Const:
        if output.dtype != torch.float32:
            site.refuse(f"{site.name} gives {output.dtype}", "torch.float32")
        if _is_same(site):
            return site.inputs[0]  # a constant, if it only takes a value's type
        if site.name in _MOVES:
            return _move(site)
        if site.name not in self.readers:
            if recorded.writes:
                site.refuse(f"{site.name} writes in place")
            site.refuse(f"{site.name} is not supported")
        node = self.readers[site.name](site)
        if _images(node.shape) == 0 or node.shape[-1:] == (Batch(1),):
            site.refuse(f"{site.name} mixes the images of a batch")
        return node


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, Node | Const)


def _const(
    recorded: Recorded, args: Any, kwargs: Any, output: Value, shape: Shape, index: int | None
) -> Const:
    name = function_name(recorded.function)
    if name in _RANDOM:
        refuse(recorded.path, f"{name} draws random numbers")
    if name == "arange" and any(isinstance(leaf, Batch) for leaf in tree_leaves((args, kwargs))):
        refuse(recorded.path, "arange counts the images of a batch")
    call = Call(recorded.function, args, kwargs, index, recorded.writes)
    return Const(call, shape, output.dtype)


def _numbered(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments with an operand for each node and constant, in order."""
    count = iter(range(1_000_000))
    return map_leaves(
        lambda leaf: Operand(next(count)) if _is_value(leaf) else leaf, (args, kwargs)
    )


def _is_same(site: Site) -> bool:
    """Whether the result is the argument. A reshape to the same shape is; a slice is not always."""
    if site.name in _SAME:
        if "dropout" in site.name and site.bind("input", "p", "training").get("training", True):
            site.refuse(f"{site.name} is active in evaluation, too", "training=self.training")
        return True
    if len(site.inputs) > 1 or site.shape != site.x.shape:
        return False
    if site.name == "pad":
        return not any(site.bind("input", "pad")["pad"])
    if site.name == "__getitem__":
        # Of the same shape with indices that are slices forward: each takes all.
        parts = site.args[1] if isinstance(site.args[1], tuple) else (site.args[1],)
        return all(part is Ellipsis or isinstance(part, slice) for part in parts)
    return site.name in _RESHAPES


def _move(site: Site) -> Node:
    """Raises PqvError for indices that are tensors, padding that is not zero, moved batches."""
    if len(site.inputs) > 1 and site.name != "stack":
        reference = site.name in ("reshape_as", "view_as")
        if not reference:
            site.refuse(f"{site.name} takes elements by a tensor of indices", "slices")
    if site.name == "pad" and not _pads_zeros(site):
        site.refuse("pads with something else", "zeros")
    if site.name == "roll" and _rolls_images(site):
        site.refuse("roll mixes the images of a batch")
    if _images(site.shape) != _images(site.x.shape):
        site.refuse(f"{site.name} takes some images of a batch", "all")
    inputs = site.inputs if site.name == "stack" else site.inputs[:1]
    return Move(site.path, inputs, site.shape, _with_shape(site) or site.call)


def _with_shape(site: Site) -> Call | None:
    """``view`` needs strides that a later value may lack, and the other value of a ``_as``."""
    if site.name in ("view", "view_as", "reshape_as"):
        return Call(torch.Tensor.reshape, (Operand(0), site.shape))
    return None


def _pads_zeros(site: Site) -> bool:
    bound = site.bind("input", "pad", "mode", "value")
    return bound.get("mode", "constant") == "constant" and not bound.get("value")


def _rolls_images(site: Site) -> bool:
    axes = site.bind("input", "shifts", "dims").get("dims") or ()
    axes = axes if isinstance(axes, tuple | list) else (axes,)
    return not axes or any(isinstance(site.x.shape[axis], Batch) for axis in axes)


def _images(shape: Shape) -> int:
    """How many axes are multiples of the batch: a stride along one makes it no multiple."""
    return sum(isinstance(size, Batch) for size in shape)
