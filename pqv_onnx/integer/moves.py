"""Modules that move elements of integer tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace.nodes import Move
from pqv_onnx.trace.values import Batch, Operand, Shape

_RESHAPES = ("reshape", "view", "flatten", "unflatten")


class Apply(nn.Module):
    """A function of a value that has no constants."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        """Take the function."""
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return self.function(x)


class Moves(nn.Module):
    """A chain of moves."""

    def __init__(self, chain: Sequence[Move]) -> None:
        """Take the moves in their order."""
        super().__init__()
        self.chain = tuple(chain)

    def forward(self, x: Tensor) -> Tensor:
        """Move ``x``."""
        for node in self.chain:
            x = x.reshape(open_shape(node.shape)) if node.function in _RESHAPES else _call(node, x)
        return x


class TakeTokens(nn.Module):
    """Tokens in another order."""

    index: Tensor

    def __init__(self, index: Tensor) -> None:
        """Take which token comes at each place, int64 [T]."""
        super().__init__()
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        """Reorder ``x`` [B, T, C]."""
        return torch.index_select(x, 1, self.index)


class Join(nn.Module):
    """Values one behind the other, with constants before, between or after them."""

    def __init__(self, parts: Sequence[Tensor | None], axis: int) -> None:
        """Take the constants, int8 [1, ...]; None stands for the next value."""
        super().__init__()
        self.names: list[str | None] = []
        self.axis = axis
        for index, part in enumerate(parts):
            self.names.append(None if part is None else f"part{index}")
            if part is not None:
                self.register_buffer(f"part{index}", part)

    def forward(self, *values: Tensor) -> Tensor:
        """Join ``values`` [B, ...]."""
        rest, count = iter(values), values[0].shape[0]
        parts = [next(rest) if name is None else self._expanded(name, count) for name in self.names]
        return torch.cat(parts, self.axis)

    def _expanded(self, name: str, count: int) -> Tensor:
        part: Tensor = getattr(self, name)
        return part.expand(count, *part.shape[1:])


def open_shape(shape: Shape) -> tuple[int, ...]:
    """A shape for ``reshape`` in which the batch is -1."""
    if sum(isinstance(size, Batch) for size in shape) != 1:
        raise PqvError(f"a value of shape {list(shape)} has no one axis for the batch")
    return tuple(-1 if isinstance(size, Batch) else size for size in shape)


def _call(node: Move, x: Tensor) -> Tensor:
    def resolve(leaf: Any) -> Any:
        if isinstance(leaf, Batch):
            raise PqvError(f"{node.path}: {node.function} by the number of images")
        return x if isinstance(leaf, Operand) else leaf

    return node.call(resolve)
