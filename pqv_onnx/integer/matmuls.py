"""Packed matmuls: what of a graph's moves, factors and readers becomes part of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.codes import Codes
from pqv_onnx.integer.layers import Constants, OpLayer
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat import handlers
from pqv_onnx.qat.exact import array
from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.trace import nodes
from pqv_onnx.trace.maps import moved, split_chain, tokens, width
from pqv_onnx.trace.nodes import Linear, Move, Node

Real = NDArray[np.float64]


@dataclass(frozen=True)
class Route:
    """From a linear layer to a value that is its sums, moved and scaled.

    Attributes:
        linear: the layer.
        channels: which of its outputs each element is, int64, broadcast against one image.
        factor: what the sums are multiplied by, float64, likewise.
        order: which token of its input comes at each place, int64 [T]; None if nothing moves.
        added: the constant that is added, if there is one.
    """

    linear: Linear
    channels: Tensor
    factor: Tensor
    order: Tensor | None
    added: handlers.Add | None

    def per_channel(self, values: Tensor) -> Tensor:
        """``values``, broadcast against one image, for each output of the layer, [N].

        Raises:
            PqvError: an output comes to places of different values.
        """
        shape = torch.broadcast_shapes(values.shape, self.channels.shape)
        found = torch.full((width(self.linear),), torch.nan, dtype=torch.float64)
        channels = self.channels.expand(shape).flatten()
        places = values.double().cpu().expand(shape).flatten()
        found[channels] = places
        if not torch.equal(found[channels], places):
            raise PqvError("an output of a linear layer is read in different steps")
        return found


class MatMuls:
    """Makes the packed matmuls of a model."""

    def __init__(
        self,
        model: QuantModel,
        in_image_order: Collection[Node],
    ) -> None:
        """Find what reads each linear layer.

        Args:
            model: the fake-quantized model.
            in_image_order: layers whose moves are part of the attention in front of them.
        """
        graph = model.config.backbone.graph
        self._model, self._readers, self._in_order = model, graph.readers, in_image_order
        sources = (split_chain(output, Move, nodes.Scale) for output in graph.outputs)
        self.heads = {source for source, _ in sources if isinstance(source, Linear)}
        self._sinks = {
            node: self._find_sinks(node) for node in graph.nodes if isinstance(node, Linear)
        }
        for head in self.heads:
            if self._sinks[head]:
                raise PqvError(f"{head.path}: its sums are a result, and others read them, too")

    def _find_sinks(self, linear: Linear) -> list[tuple[Node, Node]]:
        """The nodes that narrow a layer's sums, each with the value that it reads."""
        handler = self._model.handlers[linear]
        if handler.grid is not None:
            return []
        found: list[tuple[Node, Node]] = []
        values: list[Node] = [linear]
        while values:
            value = values.pop()
            for reader in self._readers[value]:
                if self._model.handlers[reader].grid is None and not isinstance(reader, Linear):
                    values.append(reader)
                else:
                    found.append((reader, value))
        return found

    def is_fused(self, linear: Linear) -> bool:
        """Whether the matmul belongs to the one node that reads its sums, by a residual."""
        sinks = self._sinks[linear]
        joined = [
            isinstance(sink, nodes.Add | nodes.Concat) and not _quantizers(self._model, sink, value)
            for sink, value in sinks
        ]
        if any(joined) and len(sinks) > 1:
            raise PqvError("the sums of a linear layer are read twice")
        return any(joined)

    def route(self, value: Node) -> Route:
        """How a value comes from a linear layer.

        Raises:
            PqvError: tokens move behind the layer in a way that they cannot before it.
        """
        added = None
        if isinstance(value, nodes.Add):
            handler = self._model.handlers[value]
            assert isinstance(handler, handlers.Add)
            added = handler
            assert handler.branch is not None
            branch = value.inputs[handler.branch]
            assert isinstance(branch, Node)
            value = branch
        source, steps = split_chain(value, Move, nodes.Scale)
        if not isinstance(source, Linear):
            raise PqvError(f"a sum of what {source.kind} gives is not supported")
        channels = torch.arange(width(source))
        factor = torch.ones((), dtype=torch.float64)
        for node in steps:
            if isinstance(node, Move):
                channels = moved(node, channels)
                factor = _moved_factor(node, factor)
            elif isinstance(node, nodes.Scale):
                factor = factor * _factor(self._model, node)
        moves = [node for node in steps if isinstance(node, Move)]
        return Route(source, channels, factor, self._order(source, moves), added)

    def _order(self, linear: Linear, moves: list[Move]) -> Tensor | None:
        if not moves or linear in self._in_order:
            return None
        return tokens(linear, moves)

    def narrowing(self, linear: Linear) -> OpLayer:
        """The matmul that narrows for each reader in the channels that it reads."""
        handler = self._handler(linear)
        if handler.quantizer is not None:
            return self.to_stream(self.route(linear), handler.quantizer)
        count = width(linear)
        step, factor, offset = np.full(count, np.nan), np.ones(count), np.zeros(count)
        zero_point, bits = np.zeros(count, np.int64), set()
        for sink, value in self._sinks[linear]:
            route = self.route(value)
            for quantizer in _quantizers(self._model, sink, value):
                found = route.per_channel(quantizer.channel_step).numpy()
                own = ~np.isnan(found)
                if np.any(~np.isnan(step[own]) & (step[own] != found[own])):
                    raise PqvError("two readers of a linear layer's outputs have different steps")
                step[own] = found[own]
                factor[own] = route.per_channel(route.factor).numpy()[own]
                bits.add(quantizer.bits)
                zero_point[own] = quantizer.zero_point
                offset[own] = self._offset(sink, linear, factor)[own]
        if len(bits) != 1:
            raise PqvError("readers of a linear layer's outputs have different bits")
        step[np.isnan(step)] = 1.0  # nobody reads these
        (own_bits,) = bits
        module = self._packed(linear, factor, step, own_bits, offset)
        module.codes = Codes(own_bits, step, zero_point)
        return module

    def _offset(self, sink: Node, linear: Linear, factor: Real) -> NDArray[np.int32]:
        """What zero points of the reader's input add to the bias, [N]."""
        handler = self._model.handlers[sink]
        if not isinstance(handler, handlers.Activation):
            return np.zeros(width(linear), np.int32)
        unit = torch.from_numpy(self._unit(linear) * factor)
        return handler.layer.input_offset(unit.to(handler.layer.quantizer.log_step.device))

    def to_stream(
        self,
        route: Route,
        out: ResidualQuantizer,
        residual_step: Tensor | None = None,
        constant: Tensor | None = None,
    ) -> OpLayer:
        """The matmul that narrows to the codes of a residual stream.

        Args:
            route: from the layer to the stream.
            out: the stream.
            residual_step: steps of what is added to the sums, if something is.
            constant: codes that are, int64 [1, ..., N]; None for an input of the op.
        """
        step, added = out.channel_step, Constants()
        if residual_step is not None:
            added["residual_multiplier"] = residual_multiplier(residual_step, step)
        if constant is not None:
            added["residual"] = constant.to(torch.int8).cpu()
        module = self._packed(route.linear, _factors(route), array(step), out.bits, added=added)
        module.codes = Codes.of(Grid.of(out))
        return module

    def _packed(
        self,
        linear: Linear,
        factor: Real,
        step: Real,
        bits: int,
        offset: NDArray[np.generic] | int = 0,
        added: Constants | None = None,
    ) -> OpLayer:
        """A matmul that narrows.

        Args:
            linear: the layer.
            factor: what its sums are multiplied by, [N].
            step: of the output, one or [N].
            bits: of the output.
            offset: added to the bias.
            added: constants of a residual; None or empty: there is none.
        """
        weights, bias, unit = self._accumulator(linear)
        shift, multiplier = fixed_point.requantizer(unit * factor / step)
        own: Constants = {
            "B": weights,
            "bias": fixed_point.matmul_bias(bias + np.asarray(offset)),
            "shift": shift,
            "multiplier": multiplier,
        }
        is_int4 = self._handler(linear).linear.quantizer.bits <= 4
        name = "PackedInt4MatMul" if is_int4 else "PackedInt8MatMul"
        name = f"{name}Add" if added else name
        module = OpLayer(name, own | (added or {}), **_sizes(weights), y_bits=bits)
        module.weight_codes = self._weight_codes(linear)
        return module

    def to_int32(self, linear: Linear) -> OpLayer:
        """The matmul that gives the model's output."""
        weights, bias, _ = self._accumulator(linear)
        constants: Constants = {"B": weights, "bias": fixed_point.matmul_bias(bias)}
        module = OpLayer("PackedInt8MatMulToInt32", constants, **_sizes(weights))
        module.weight_codes = self._weight_codes(linear)
        return module

    def _weight_codes(self, linear: Linear) -> Codes:
        quantizer = self._handler(linear).linear.quantizer
        return Codes(quantizer.bits, array(quantizer.step).reshape(-1), np.array(0))

    def output_step(self, output: Node) -> NDArray[np.float32]:
        """What the accumulators of the model's output are worth, [N]."""
        route = self.route(output)
        factor = np.broadcast_to(route.factor.numpy(), route.channels.shape)
        found: NDArray[np.float32] = (self._unit(route.linear) * factor).astype(np.float32)
        return found

    def _accumulator(self, linear: Linear) -> tuple[NDArray[np.int8], NDArray[np.int64], Real]:
        """Weights [K, N], bias with the input's zero point folded in, and accumulator steps."""
        handler = self._handler(linear)
        layer, source = handler.linear, handler.source
        assert source is not None
        codes = layer.quantizer.codes(layer.codes_weight).T.to(torch.int8)
        weights: NDArray[np.int8] = codes.cpu().numpy()
        bias = -(source.zero_point.reshape(-1, 1) * weights).sum(0)
        if layer.bias is not None:
            bias += layer.bias_codes(source.step)
        return weights, bias, self._unit(linear)

    def _unit(self, linear: Linear) -> Real:
        handler = self._handler(linear)
        assert handler.source is not None
        return array(handler.linear.unit(handler.source.step))

    def _handler(self, linear: Linear) -> handlers.Linear:
        handler = self._model.handlers[linear]
        assert isinstance(handler, handlers.Linear)
        return handler


def _moved_factor(node: Move, factor: Tensor) -> Tensor:
    places = torch.arange(factor.numel()).reshape(factor.shape)
    return factor if factor.ndim == 0 else factor.flatten()[moved(node, places)]


def residual_multiplier(step: Tensor, out_step: Tensor) -> NDArray[np.int16]:
    """What ops multiply codes of ``step``, one or [C], by to add them in ``out_step``, [C]."""
    ratio = array(step).reshape(-1) / array(out_step)
    return fixed_point.residual_multiplier(np.broadcast_to(ratio, out_step.shape))


def _factors(route: Route) -> Real:
    """What each output is multiplied by, [N]."""
    count = (width(route.linear),)
    factor = (
        route.per_channel(route.factor) if route.factor.numel() > 1 else route.factor.expand(count)
    )
    found: Real = factor.numpy()
    return found


def _sizes(weights: NDArray[np.int8]) -> dict[str, int]:
    return dict(zip("KN", weights.shape, strict=True))


def _factor(model: QuantModel, node: nodes.Scale) -> Tensor:
    handler = model.handlers[node]
    assert isinstance(handler, handlers.Scale)
    by = handler.factor
    if isinstance(by, float):
        return torch.tensor(by, dtype=torch.float64)
    return by.value.detach().double().cpu()


def _quantizers(model: QuantModel, sink: Node, value: Node) -> list[Quantizer]:
    """What narrows ``value`` for the node ``sink``."""
    own = zip(sink.nodes, model.handlers[sink].readers, strict=True)
    return [quantizer for read, quantizer in own if read is value and quantizer is not None]
