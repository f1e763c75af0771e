"""The kinds of nodes: what a transformer is made of, whatever module computed it.

A node is a value: its ``inputs`` are nodes and constants, its ``shape`` is that of its result.
Nodes never change; a pattern makes new ones. Two nodes are equal only if they are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, TypeGuard

import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.trace.values import Call, Const, Shape, tree_leaves

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "hardswish": F.hardswish,
}
"""The functions that an ``Activation`` can have, by name."""


@dataclass(frozen=True, eq=False)
class Node:
    """What the kinds share.

    Attributes:
        path: the module in whose forward it was computed; of a linear layer, the weight's.
        inputs: what it reads.
        shape: sizes of the result's axes.
    """

    path: str
    inputs: tuple[Node | Const, ...]
    shape: Shape

    @property
    def kind(self) -> str:
        """The name of the node's class, in lower case."""
        return type(self).__name__.lower()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The inputs that depend on the image."""
        return tuple(value for value in self.inputs if isinstance(value, Node))

    @property
    def consts(self) -> tuple[Const, ...]:
        """Every constant that the node reads: inputs, then fields in their order."""
        leaves = tree_leaves([getattr(self, field.name) for field in fields(self)])
        return tuple(leaf for leaf in leaves if isinstance(leaf, Const))

    def __deepcopy__(self, memo: object) -> Node:
        """The node itself, which never changes; a copy would be as deep as the model."""
        return self

    def __repr__(self) -> str:
        return f"{self.kind}({self.path}, {list(self.shape)})"


@dataclass(frozen=True, eq=False, repr=False)
class Input(Node):
    """The images, [B, C, H, W]."""


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Node):
    """A linear layer: of the last axis, or of patches of [B, C, H, W].

    Attributes:
        weight: [out, in]; for patches [out, C, height, width].
        bias: [out], or None.
        kernel: height and width of the patches; the result is [B, rows, columns, out].
    """

    weight: Const
    bias: Const | None = None
    kernel: tuple[int, int] | None = None


def reads_channels(value: object) -> TypeGuard[Linear]:
    """Whether a value is a linear layer of the last axis, not of patches of an image."""
    return isinstance(value, Linear) and value.kernel is None


@dataclass(frozen=True, eq=False, repr=False)
class Heads(Linear):
    """Two classifiers on features side by side, whose logits are averaged: a distilled DeiT's.

    Attributes:
        difference: half the difference of the two biases; the mean does not depend on it.
    """

    difference: Const | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Norm(Node):
    """A normalisation of the last axis: to mean 0 and variance 1, or to a mean square or norm of 1.

    Attributes:
        of: ``layer``, ``rms`` or ``l2``.
        weight: [C], or None.
        bias: [C], or None.
        eps: added to the variance or mean square; of ``l2``, the least norm. None: the dtype's.
    """

    of: Literal["layer", "rms", "l2"]
    weight: Const | None = None
    bias: Const | None = None
    eps: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Attention(Node):
    """softmax(factors * q k^T + biases) v; q [..., N, D], k [..., M, D], v [..., M, E].

    q may be a constant.

    Attributes:
        factors: their product scales the logits; a constant is one per head, [H, 1, 1].
        biases: each broadcasts against [P, H, N, M], where P is the size of the logits' first
            axis for one image: windows have a bias each.
        grouped: whether k and v have fewer heads, each for as many heads of q in a row.
    """

    factors: tuple[float | Const, ...] = ()
    biases: tuple[Const, ...] = ()
    grouped: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Rope(Node):
    """x * cos + rotated(x) * sin, of all but the first ``prefix`` tokens of [..., N, D].

    Attributes:
        cos: broadcasts against [..., N - prefix, D].
        sin: likewise.
        pairs: rotated gives (-x1, x0, -x3, x2, ...); else (-second half, first half).
        prefix: how many tokens at the front stay as they are.
    """

    cos: Const
    sin: Const
    pairs: bool
    prefix: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Activation(Node):
    """function(factor * x) / factor.

    Attributes:
        function: a name of ``FUNCTIONS``.
        factor: 1.702 and SiLU make QuickGELU.
    """

    function: str
    factor: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Gate(Node):
    """The product of two values."""


@dataclass(frozen=True, eq=False, repr=False)
class Scale(Node):
    """The product of a value and ``by``: a number, or one constant factor per channel or head."""

    by: float | Const


@dataclass(frozen=True, eq=False, repr=False)
class Add(Node):
    """The sum of two values, one of which may be a constant."""


@dataclass(frozen=True, eq=False, repr=False)
class Concat(Node):
    """Values and constants one behind the other.

    Attributes:
        axis: along which, counted from the front.
    """

    axis: int


@dataclass(frozen=True, eq=False, repr=False)
class Mean(Node):
    """The mean over ``axes``, counted from the front, which stay with size 1 if ``keep``."""

    axes: tuple[int, ...]
    keep: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Max(Node):
    """The largest value over ``axes``, as of ``Mean``."""

    axes: tuple[int, ...]
    keep: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Move(Node):
    """Elements of the inputs at other places, and zeros: reshape, permute, slices, roll, ...

    Attributes:
        call: what to call; ``Operand(i)`` stands for the input i.
    """

    call: Call

    @property
    def function(self) -> str:
        """The name of the torch function."""
        return self.call.name


@dataclass(frozen=True, eq=False, repr=False)
class Product(Node):
    """A matrix product of two values; the patterns make it part of an ``Attention``."""


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Node):
    """The softmax of the last axis; the patterns make it part of an ``Attention``."""


@dataclass(frozen=True, eq=False, repr=False)
class Negation(Node):
    """The negative of a value; the patterns make it part of a ``Rope``."""
