"""Attention, and rotary embeddings of its queries and keys."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pqv_onnx.ops.int_rotary import rotated
from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.handlers.base import Handler, Value, one_step
from pqv_onnx.qat.quantizers import ActivationQuantizer, Quantizer
from pqv_onnx.qat.softmax import QuantSoftmax
from pqv_onnx.trace import nodes
from pqv_onnx.trace.nodes import Node
from pqv_onnx.trace.values import Const, Shape, resolved

if TYPE_CHECKING:
    from pqv_onnx.qat.assembly import Assembly

_EXCLUDED = -50.0
"""A bias below it leaves a place out: its weight is under 2^-72 of the largest."""
_LOWEST = -1e4
"""In place of minus infinity, which no checkpoint may hold and no optimizer survives."""


class Attention(Handler[nodes.Attention]):
    """The attention of quantized queries, keys and values; its result is quantized, too.

    Attributes:
        quantizers: of queries, keys and values.
        query: constant queries, if they are.
        head_scale: factors of the logits, one per head: queries are multiplied by them.
        scaled: the quantizer of queries that were.
    """

    def __init__(self, node: nodes.Attention, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        if node.grouped:
            raise self.refuse("attention with fewer heads of keys than of queries")
        spec, path = assembly.spec, node.path
        per_head = any(isinstance(factor, Const) for factor in node.factors)
        self.quantizers: list[Quantizer] = []
        self.readers = []
        for name, value in zip("qkv", node.inputs, strict=True):
            source = assembly.grid(value)
            if source is not None:
                self.quantizers.append(one_step(self, source).quantizer)
            else:
                whole = per_head and name == "q"
                bits = 8 if whole or assembly.is_shared(value) else spec.qkv.bits
                quantizer = ActivationQuantizer(bits)
                self.quantizers.append(assembly.add(f"{path}.{name}_quantizer", quantizer))
            if isinstance(value, Node):
                self.readers.append(None if source is not None else self.quantizers[-1])
        query = node.inputs[0]
        self.query = assembly.constant(f"{path}.query", query) if isinstance(query, Const) else None
        self.softmax = assembly.add(
            f"{path}.softmax", QuantSoftmax(spec.attention.scheme == "log2")
        )
        self.quantizer = assembly.add(f"{path}.quantizer", ActivationQuantizer(spec.context.bits))
        self.grid = Grid.of(self.quantizer)
        self.head_scale = [
            assembly.constant(f"{path}.head_scale", factor)
            for factor in node.factors
            if isinstance(factor, Const)
        ]
        self.scaled: Quantizer | None = None
        if per_head:
            scaled = ActivationQuantizer(spec.qkv.bits)
            self.scaled = assembly.add(f"{path}.scaled_quantizer", scaled)
        for const in node.biases:
            if min(_axes_apart(const.shape)) > 1:
                raise self.refuse("a bias of attention's logits that differs by window and head")
        self.biases = [assembly.constant(f"{path}.bias", const) for const in node.biases]

    @property
    def logit_scale(self) -> float:
        """The factors that are numbers, and the largest per head, in log2 units.

        A softmax of base e becomes one of base 2.
        """
        numbers = [factor for factor in self.node.factors if not isinstance(factor, Const)]
        scale = math.log2(math.e) * math.prod(numbers)
        return scale * self._factors().max().item() if self.head_scale else scale

    @property
    def logit_unit(self) -> Tensor:
        """Log2 units of a product of codes, float64 []."""
        q, k, _ = self.quantizers
        return ((self.scaled or q).step * k.step * self.logit_scale).detach()

    def _factors(self) -> Tensor:
        factor = self.head_scale[0].value
        for constant in self.head_scale[1:]:
            factor = factor * constant.value
        return factor.reshape(-1, 1, 1)

    def head_table(self) -> Tensor:
        """What queries are multiplied by, relative to the largest, [H, 1, D]."""
        factor = self._factors()
        heads, width = self.node.shape[-3], self.node.inputs[0].shape[-1]
        relative = factor / factor.max().detach()
        return relative.expand(heads, 1, width)  # type: ignore[arg-type]

    def __call__(self, *inputs: Value) -> Tensor:
        values = self.narrowed(inputs)
        if self.query is not None:
            values.insert(0, self.quantized_query())
        q, k, v = values
        q_step, k_step, v_step = (quantizer.step for quantizer in self.quantizers)
        if self.scaled is not None:
            table = self.head_table()
            op = partial(exact.rotary, q, table, torch.zeros_like(table), False, q_step)
            q, q_step = self.scaled(q * table, op), self.scaled.step
        logits = exact.matmul(q, k, q_step, k_step, self.logit_scale)
        weights, attention = self._weights(logits)
        op = partial(exact.weighted_mean, weights, v, v_step)
        return self.quantizer(attention @ v, op)

    def quantized_query(self) -> Tensor:
        """Constant queries, multiples of their step."""
        assert self.query is not None
        query, quantizer = self.query.value, self.quantizers[0]
        return quantizer(query, lambda _step: quantizer.codes(query).float())

    def _weights(self, logits: Sums) -> tuple[Tensor, Tensor]:
        """Attention weights as `QuantSoftmax` gives them."""
        bias, excluded = self.bias()
        windows = excluded.shape[-4] if excluded is not None and excluded.ndim > 3 else 1
        shape = logits.codes.shape
        if windows > 1:  # a mask has an axis for the windows of an image
            split = (-1, windows, *shape[-3:])
            real, codes = logits.real.reshape(split), logits.codes.reshape(split)
            logits = logits._replace(real=real, codes=codes)
        weights, attention = self.softmax(logits, bias, excluded)
        return weights.reshape(shape), attention.reshape(shape)

    def bias(self) -> tuple[Tensor | None, Tensor | None]:
        """The bias of the logits in log2 units, and which places are left out.

        Each broadcasts against [P, H, N, M], as the node's biases do. A fixed bias of zero here
        and far below zero there is a mask, if it is the same for all heads.

        Raises:
            PqvError: a bias that is no mask differs by window.
        """
        bias: Tensor | None = None
        excluded: Tensor | None = None
        for constant in self.biases:
            value = constant.value
            windows, heads = _axes_apart(value.shape)
            if heads == 1 and not isinstance(value, torch.nn.Parameter) and is_mask(value):
                places = value < _EXCLUDED
                excluded = places if excluded is None else excluded | places
            elif windows > 1:
                raise self.refuse("a bias of attention's logits that differs by window")
            else:
                value = value * math.log2(math.e)
                bias = value if bias is None else bias + value
        return bias, excluded

    def set_constants(self, values: list[Tensor]) -> None:
        super().set_constants(values)
        for constant in self.biases:
            constant.value.data.clamp_(min=_LOWEST)
        self.bias()  # refuses now, not when images come, what only values tell


def _axes_apart(shape: Shape) -> tuple[int, int]:
    """For how many windows and heads a bias, [P, H, N, M] or less, has values of their own."""
    windows, heads = (1, 1, *resolved(shape)[:-2])[-2:]
    return windows, heads


def is_mask(bias: Tensor) -> bool:
    """Whether a bias is zero, or far below, everywhere."""
    return bool(((bias == 0) | (bias < _EXCLUDED)).all())


class Rope(Handler[nodes.Rope]):
    """A rotary embedding of 8-bit queries or keys.

    Attributes:
        cos: [..., N - prefix, D].
        sin: the same.
    """

    def __init__(self, node: nodes.Rope, assembly: Assembly) -> None:
        super().__init__(node, assembly)
        self.source = one_step(self, self.source_of(0, assembly, "rope_input"))
        quantizer = ActivationQuantizer(assembly.spec.qkv.bits)
        self.quantizer = assembly.add(f"{node.path}.rope", quantizer)
        self.grid = Grid.of(self.quantizer)
        self.cos, self.sin = (
            assembly.constant(f"{node.path}.{name}", const, trained=False, named=False)
            for name, const in (("cos", node.cos), ("sin", node.sin))
        )

    def tables(self) -> tuple[Tensor, Tensor]:
        """Cosines and sines of all tokens, [H or 1, N, D]; the first tokens stay as they are."""
        cos, sin = (self._whole(table.value) for table in (self.cos, self.sin))
        prefix = (0, 0, self.node.prefix, 0)
        return F.pad(cos, prefix, value=1.0), F.pad(sin, prefix)

    def _whole(self, table: Tensor) -> Tensor:
        count, width = self.node.shape[-2:]
        heads = table.shape[-3] if table.ndim > 2 else 1
        whole = (heads, count - self.node.prefix, width)  # type: ignore[operator]
        return table.reshape(heads, *table.shape[-2:]).expand(whole)  # type: ignore[arg-type]

    def __call__(self, *inputs: Value) -> Tensor:
        (x,) = self.narrowed(inputs)
        cos, sin = self.tables()
        pairs = self.node.pairs
        op = partial(exact.rotary, x, cos, sin, pairs, self.source.step)
        return self.quantizer(x * cos + rotated(x, pairs) * sin, op)
