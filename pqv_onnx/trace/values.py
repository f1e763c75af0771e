"""What calls are made of: sizes that may be multiples of the batch, constants, placeholders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

BATCH = 1_000_003
"""Images in a recording, a prime: an integer that it divides is a multiple of the batch."""

_NEAR = 1000


@dataclass(frozen=True)
class Batch:
    """``times`` the number of images, as a size of an axis or an argument of a call."""

    times: int


Shape = tuple[int | Batch, ...]
"""Sizes of a value's axes."""


def resolved(shape: Shape, images: int = 1) -> tuple[int, ...]:
    """The sizes of a value for this many images."""
    return tuple(size.times * images if isinstance(size, Batch) else size for size in shape)


@dataclass(frozen=True)
class Operand:
    """Stands for the node's input of this index among the arguments of its call."""

    index: int


@dataclass(frozen=True, eq=False)
class Call:
    """A torch function and what it is called with.

    Attributes:
        function: the function, or the descriptor's ``__get__`` for an attribute.
        args: positional arguments; ``Operand``, ``Const`` and ``Batch`` for what they stand for.
        kwargs: keyword arguments, likewise.
        index: which of the tensors that the function returns; None if it returns one.
        writes: whether the result is the first argument, written in place.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    index: int | None = None
    writes: bool = False

    @property
    def name(self) -> str:
        """The function's name; of an attribute, the attribute's."""
        return function_name(self.function)

    def __call__(self, resolve: Callable[[Any], Any]) -> Tensor:
        """Make the call; ``resolve`` gives what each placeholder among the arguments stands for."""
        args, kwargs = map_leaves(resolve, (self.args, dict(self.kwargs)))
        if self.writes:  # the constant itself, often a parameter, stays as it is
            args = (args[0].clone(), *args[1:])
        out = self.function(*args, **kwargs)
        if self.writes:
            return args[0]
        return out if self.index is None else tree_leaves(out)[self.index]


@dataclass(frozen=True, eq=False)
class Const:
    """A value that does not depend on the image: a parameter, a buffer, or an expression of them.

    Attributes:
        source: the parameter's or buffer's name, or the call that computes the value.
        shape: sizes of the axes; a multiple of the batch where timm expands the constant.
        dtype: the type of the elements.
    """

    source: str | Call
    shape: Shape
    dtype: torch.dtype = torch.float32

    def __repr__(self) -> str:
        name = self.source if isinstance(self.source, str) else self.source.name
        return f"Const({name}, {list(self.shape)})"

    def names(self) -> KeysView[str]:
        """A set of the parameters and buffers in the expression, in order from left to right."""
        own = [self.source] if isinstance(self.source, str) else []
        others = (name for const in self.operands() for name in const.names())
        return dict.fromkeys((*own, *others)).keys()

    def operands(self) -> Iterator[Const]:
        """The constants among the call's arguments; none of a parameter."""
        if isinstance(self.source, Call):
            leaves = tree_leaves((self.source.args, dict(self.source.kwargs)))
            yield from (leaf for leaf in leaves if isinstance(leaf, Const))

    def value(self, tensors: Mapping[str, Tensor], device: torch.device | str = "cpu") -> Tensor:
        """Evaluate the expression for a batch of 1, with gradients to the parameters.

        Args:
            tensors: parameters and buffers by name.
            device: where the constants are made that are not computed from parameters.
        """
        with torch.device(device):
            return self._value(tensors, torch.device(device), {})

    def _value(
        self, tensors: Mapping[str, Tensor], device: torch.device, known: dict[Const, Tensor]
    ) -> Tensor:
        if isinstance(self.source, str):
            return tensors[self.source]

        def resolve(leaf: Any) -> Any:
            if isinstance(leaf, Const):
                return leaf._value(tensors, device, known)
            if isinstance(leaf, torch.device):
                return device
            return leaf.times if isinstance(leaf, Batch) else leaf

        if self not in known:
            known[self] = self.source(resolve)
        return known[self]


def constant(
    function: Callable[..., Tensor], *args: Any, shape: Shape, dtype: torch.dtype = torch.float32
) -> Const:
    """The constant that ``function`` computes of ``args``."""
    return Const(Call(function, args), shape, dtype)


def one_or_all(results: Sequence[Tensor]) -> Any:
    """What a model gives: its one result, or a tuple of all."""
    return results[0] if len(results) == 1 else tuple(results)


def all_results(given: Any) -> tuple[Any, ...]:
    """The results of a model that gives one, or a list or tuple of them."""
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def function_name(function: Callable[..., Any]) -> str:
    """The name of a torch function, as ``__torch_function__`` gets it."""
    name: str = getattr(function, "__name__", str(function))
    owner = getattr(function, "__self__", None)
    return getattr(owner, "__name__", name) if name == "__get__" else name


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Map the leaves of nested tuples, lists, dicts, slices and sizes; sizes become tuples."""
    if isinstance(tree, tuple | list):
        mapped = [map_leaves(function, part) for part in tree]
        return mapped if isinstance(tree, list) else tuple(mapped)
    if isinstance(tree, dict):
        return {key: map_leaves(function, part) for key, part in tree.items()}
    if isinstance(tree, slice):
        return slice(*(function(part) for part in (tree.start, tree.stop, tree.step)))
    return function(tree)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves that ``map_leaves`` maps, in its order."""
    leaves: list[Any] = []
    map_leaves(leaves.append, tree)
    return leaves


def mark_batch(value: Any) -> Any:
    """``Batch`` for an integer that is a multiple of the recorded batch; others as they are.

    Raises:
        ValueError: the integer is near a multiple, so it was computed from the batch.
    """
    if type(value) is not int or abs(value) < BATCH // 2:
        return value
    times, rest = divmod(value, BATCH)
    if rest == 0:
        return Batch(times)
    if min(rest, BATCH - rest) < _NEAR and value < 2**40:
        raise ValueError(value)
    return value


def mark_shape(shape: tuple[int, ...]) -> Shape:
    """A recorded shape with its multiples of the batch marked; errors as ``mark_batch``."""
    return tuple(mark_batch(size) for size in shape)
