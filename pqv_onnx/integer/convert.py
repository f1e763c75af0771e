"""The fake-quantized model to the integer one: each node becomes ops, real scales constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.attention import Attention, SelfAttention, WindowAttention
from pqv_onnx.integer.codes import Codes
from pqv_onnx.integer.layers import Constants, Dequantize, OpLayer, Quantize, TokenMean
from pqv_onnx.integer.layouts import HeadOp, Layout, find_layout
from pqv_onnx.integer.matmuls import MatMuls, Route, residual_multiplier
from pqv_onnx.integer.model import IntegerModel, Result
from pqv_onnx.integer.moves import Apply, Join, Moves, TakeTokens
from pqv_onnx.integer.program import Program
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat import handlers
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.exact import NormConstants, array
from pqv_onnx.qat.layers import to_patches
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.trace import nodes
from pqv_onnx.trace.maps import fan_in, sizes, width
from pqv_onnx.trace.nodes import Move, Node
from pqv_onnx.trace.values import Batch, Const, Operand, Shape
from pqv_onnx.trace.values import Call as TorchCall


@torch.no_grad()
def convert_to_integer(model: QuantModel) -> IntegerModel:
    """Build the integer form of a calibrated or trained model.

    Args:
        model: a fake-quantized model; it is left as it is.

    Returns:
        A model whose buffers are integers, with copies of the weights.

    Raises:
        PqvError: the model is not calibrated, or a scale is out of an op's range.
    """
    check_calibrated(model)
    integer = _Conversion(model).run()
    integer.checkpoint_sha256 = model.checkpoint_sha256
    return integer.eval()


class _Conversion(Program):
    """Converts the nodes of a model one after the other."""

    def __init__(self, model: QuantModel) -> None:
        super().__init__(model.config.backbone.graph)
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.layouts = self._find_layouts()
        self.head_ops = {
            op.node for found in self.layouts.values() for part in found.ops for op in part
        }
        self.windowed = {found.layers[0]: found for found in self.layouts.values() if found.windows}
        self.ends = {found.proj: found.end for found in self.windowed.values()}
        self.matmuls = MatMuls(model, self.ends)

    def _find_layouts(self) -> dict[nodes.Attention, Layout]:
        found = {
            node: find_layout(node, self.graph)
            for node in self.graph.nodes
            if isinstance(node, nodes.Attention)
        }
        return {node: layout for node, layout in found.items() if layout is not None}

    def run(self) -> IntegerModel:
        """Convert every node in order."""
        quantize, results = None, {}
        for node in self.graph.nodes:
            handler = self.model.handlers[node]
            try:
                if isinstance(node, nodes.Input):
                    quantize = Quantize(handler.quantizer.step.item())  # type: ignore[attr-defined]
                elif convert := _CONVERTERS.get(type(node)):
                    convert(self, node, handler)
                if node in self.graph.outputs:
                    results[node] = Result(self.value(node), self._dequantize(node))
            except PqvError as error:
                raise PqvError(f"{node.path or 'model'}: {error}") from error
        assert quantize is not None
        outputs = [results[node] for node in self.graph.outputs]
        integer = IntegerModel(self.model.config, quantize, self.body, self.calls, outputs)
        self._describe(integer)
        return integer

    def _describe(self, integer: IntegerModel) -> None:
        """Name the values of residual streams, and say what codes stand for."""
        for node, value in self.values.items():
            handler = self.model.handlers[node]
            if handler.grid is None:
                continue
            module = self.calls[value - 1].module if value else "quantize"
            if (codes := Codes.of(handler.grid)) is not None:
                integer.codes[module] = codes
            own = getattr(handler, "quantizer", None)
            if isinstance(own, ResidualQuantizer):
                integer.streams[module] = self.names[own]
        for name, layer in integer.named_modules():
            if isinstance(layer, OpLayer):
                known = {name: layer.codes, f"{name}.weight": layer.weight_codes}
                integer.codes |= {key: codes for key, codes in known.items() if codes is not None}
            elif isinstance(layer, Attention) and name in integer.codes:
                for result in ("mean", "attention"):  # in parts, and fused
                    integer.codes[f"{name}.{result}"] = integer.codes[name]

    def linear(self, node: nodes.Linear, handler: handlers.Linear) -> None:
        """A matmul that narrows for whoever reads it; others are part of what reads them."""
        if self.matmuls.is_fused(node):
            return
        module: nn.Module
        if node in self.matmuls.heads:
            module = self.matmuls.to_int32(node)
        else:
            module = self.matmuls.narrowing(node)
        x = self._input(node)
        found = self.windowed.get(node)
        if found is not None and found.windows is not None:  # they are cut out of an image
            shape = (Batch(1), *found.windows.grid, self.shapes[x][-1])
            x = self.reshaped(x, shape, node.path)
        self.values[self.ends.get(node, node)] = self._matmul(node, module, x)

    def _matmul(self, node: nodes.Linear, module: nn.Module, x: int, *residual: int) -> int:
        """A call of the layer ``node`` on tokens ``x``, and what is added to them."""
        handler = self.model.handlers[node]
        assert isinstance(handler, handlers.Linear)
        shape = (*self.shapes[x][:-1], node.shape[-1])
        return self.call(self.names[handler.linear], module, [x, *residual], shape)

    def _input(self, node: nodes.Linear) -> int:
        source = self.windowed[node].source if node in self.windowed else node.nodes[0]
        if node.kernel is None:
            return self.tokens(source)
        path = node.path.rpartition(".")[0]
        shape = (*node.shape[:-1], fan_in(node))
        patches = Apply(partial(to_patches, patch_size=node.kernel))
        return self.call(f"{path}.patches", patches, [self.value(source)], shape)

    def fused(
        self, value: Node, out: handlers.Add | handlers.Concat, residual: Node | None = None
    ) -> int:
        """The matmul whose sums ``value`` is, with what is added to them, as codes of ``out``."""
        quantizer = out.quantizer
        assert quantizer is not None
        route = self.matmuls.route(value)
        x = self._ordered(self._input(route.linear), route)
        if residual is not None:
            assert isinstance(out, handlers.Add)
            shape = (*self.shapes[x][:-1], residual.shape[-1])
            added = self.reshaped(self.tokens(residual), shape, residual.path)
            module = self.matmuls.to_stream(route, quantizer, out.steps()[0])
            return self._matmul(route.linear, module, x, added)
        x = self.reshaped(x, (*value.shape[:-1], self.shapes[x][-1]), value.path)
        step = codes = None
        if route.added is not None:
            constant = route.added.quantized_constant()
            step, codes = constant.channel_step, _in_full(constant.codes, value.shape)
        return self._matmul(route.linear, self.matmuls.to_stream(route, quantizer, step, codes), x)

    def _ordered(self, x: int, route: Route) -> int:
        """Tokens in the order that they are in behind the matmul and its moves."""
        count = math.prod(sizes(route.linear)[:-1])
        if route.order is None or torch.equal(route.order, torch.arange(count)):
            return x
        path = route.linear.path.rpartition(".")[0]
        shape = (Batch(1), count, self.shapes[x][-1])
        x = self.reshaped(x, shape, path)
        shape = (Batch(1), len(route.order), shape[-1])
        return self.call(f"{path}.order", TakeTokens(route.order), [x], shape)

    def norm(self, node: nodes.Norm, handler: handlers.Norm) -> None:
        """IntLayerNorm or IntRMSNorm."""
        if node not in self.head_ops:
            x = self.tokens(node.nodes[0])
            module = self._norm(handler)
            self.values[node] = self.call(self.names[handler.norm], module, [x], self.shapes[x])

    def _norm(self, handler: handlers.Norm) -> OpLayer:
        norm, source = handler.norm, handler.source
        assert source is not None
        out_step = norm.quantizer.channel_step
        shift, multiplier, bias, epsilon = NormConstants.of(
            norm.weight, norm.held_bias(), norm.eps, source.step, out_step
        )
        exponent = torch.zeros(len(shift), dtype=torch.int8)
        if source.exponent is not None:
            exponent = source.exponent.flatten().cpu()
        constants: Constants = {"exponent": exponent, "shift": shift, "multiplier": multiplier}
        if bias is not None:
            constants["bias"] = bias
        name = "IntRMSNorm" if bias is None else "IntLayerNorm"
        return OpLayer(name, constants, epsilon=epsilon, y_bits=norm.quantizer.bits)

    def attention(self, node: nodes.Attention, handler: handlers.Attention) -> None:
        """IntMatMul, IntSoftmax2n and IntWeightedMean, as a fused op has them if there is one."""
        ratio = array(handler.quantizers[2].step / handler.quantizer.step).item()
        mean = OpLayer("IntWeightedMean", {}, **_mean_attributes(ratio, handler.quantizer.bits))
        softmax = self._softmax(node, handler)
        name = self.names[handler.softmax].rpartition(".")[0] or "attention"
        layout = self.layouts.get(node)
        if layout is None:
            self.values[node] = self._plain_attention(name, node, handler, softmax, mean)
            return
        qkv = self._side_by_side(name, layout, handler)
        if layout.windows is None:
            module: Attention = SelfAttention(layout.heads, softmax, mean)
            channels = 3 * layout.heads * layout.width
            qkv = self.reshaped(qkv, (Batch(1), layout.tokens, channels), node.path)
        else:
            module = WindowAttention(layout.heads, layout.windows, softmax, mean)
        shape: Shape = (*self.shapes[qkv][:-1], layout.proj.nodes[0].shape[-1])
        self.values[layout.proj.nodes[0]] = self.call(name, module, [qkv], shape)

    def _side_by_side(self, name: str, layout: Layout, handler: handlers.Attention) -> int:
        """Queries, keys and values side by side after what is done to each token and head."""
        values = [self.values[layer] for layer in layout.layers]
        if len(values) == 1 and not any(layout.ops) and handler.scaled is None:
            return values[0]
        shape, heads, width = self.shapes[values[0]], layout.heads, layout.width
        part_shape: Shape = (Batch(1), layout.tokens, heads, width)
        whole: Shape = (Batch(1), layout.tokens, 3 * heads, width)
        if len(values) == 1:
            qkv = self.reshaped(values[0], whole, name)
            values = []
            for index, part in enumerate("qkv"):
                take = partial(torch.narrow, dim=2, start=index * heads, length=heads)
                values.append(self.call(f"{name}.{part}", Apply(take), [qkv], part_shape))
        parts = []
        for index, (value, ops) in enumerate(zip(values, layout.ops, strict=True)):
            x = self.reshaped(value, part_shape, name)
            for op in ops:
                x = self._head_op(op, x)
            if index == 0 and handler.scaled is not None:
                module = self._scaling(handler, handler.head_table().transpose(0, 1))
                x = self.call(f"{name}.scale", module, [x], self.shapes[x])
            parts.append(x)
        joined = self.call(f"{name}.join", Join([None] * 3, 2), parts, whole)
        return self.reshaped(joined, (*shape[:-1], 3 * heads * width), name)

    def _head_op(self, op: HeadOp, x: int) -> int:
        """A call of an op of each token's channels of a head."""
        handler = self.model.handlers[op.node]
        if isinstance(handler, handlers.Norm):
            name, module = self.names[handler.norm], self._norm(handler)
        else:
            assert isinstance(handler, handlers.Rope)
            cos, sin = (_in_order(table, op) for table in handler.tables())
            name, module = self.names[handler.quantizer], self._rope(handler, cos, sin)
        self.values[op.node] = self.call(name, module, [x], self.shapes[x])
        return self.values[op.node]

    def _plain_attention(
        self,
        name: str,
        node: nodes.Attention,
        handler: handlers.Attention,
        softmax: OpLayer,
        mean: OpLayer,
    ) -> int:
        """Queries, keys and values by themselves."""
        inputs = [self.value(value) for value in node.nodes]
        query = None
        if handler.query is not None:
            query = handler.quantizers[0].codes(handler.query.value).to(torch.int8).cpu()
        if handler.scaled is not None:
            scaling = self._scaling(handler, handler.head_table())
            inputs[0] = self.call(f"{name}.scale", scaling, [inputs[0]], node.nodes[0].shape)
        return self.call(name, Attention(softmax, mean, query), inputs, node.shape)

    def _scaling(self, handler: handlers.Attention, factors: Tensor) -> OpLayer:
        """Queries times a factor for each head."""
        assert handler.scaled is not None
        table = fixed_point.rotary_table(array(factors))
        ratio = array(handler.quantizers[0].step / handler.scaled.step).item()
        return _rotary(table, np.zeros_like(table), False, ratio, handler.scaled.bits)

    def rope(self, node: nodes.Rope, handler: handlers.Rope) -> None:
        """IntRotary."""
        if node not in self.head_ops:
            x, module = self.value(node.nodes[0]), self._rope(handler, *handler.tables())
            self.values[node] = self.call(self.names[handler.quantizer], module, [x], node.shape)

    def _rope(self, handler: handlers.Rope, cos: Tensor, sin: Tensor) -> OpLayer:
        cos_table, sin_table = (fixed_point.rotary_table(array(table)) for table in (cos, sin))
        ratio = array(handler.source.step / handler.quantizer.step).item()
        return _rotary(cos_table, sin_table, handler.node.pairs, ratio, handler.quantizer.bits)

    def scale(self, node: nodes.Scale, handler: handlers.Scale) -> None:
        """IntRotary that turns nothing; a factor of sums is part of what reads them."""
        if handler.quantizer is None:
            return
        table = fixed_point.rotary_table(array(handler.table()))
        ratio = array(handler.source.step * handler.largest / handler.quantizer.step).item()
        module = _rotary(table, np.zeros_like(table), False, ratio, handler.quantizer.bits)
        rows = table.shape[1:]
        shape = (Batch(1), math.prod(sizes(node)) // math.prod(rows), *rows)
        x = self.reshaped(self.value(node.nodes[0]), shape, node.path)
        x = self.call(self.names[handler.quantizer], module, [x], shape)
        self.values[node] = self.reshaped(x, node.shape, node.path)

    def gate(self, node: nodes.Gate, handler: handlers.Gate) -> None:
        """IntGate."""
        a, b = (source.quantizer for source in handler.sources)
        ratio = array(a.step * b.step / handler.quantizer.step).item()
        shift, multiplier = fixed_point.gate_scale(ratio)
        module = OpLayer(
            "IntGate",
            {},
            a_zero_point=a.zero_point,
            b_zero_point=b.zero_point,
            shift=shift,
            multiplier=multiplier,
            y_bits=handler.quantizer.bits,
        )
        inputs = [self.value(value) for value in node.nodes]
        self.values[node] = self.call(self.names[handler.quantizer], module, inputs, node.shape)

    def _softmax(self, node: nodes.Attention, handler: handlers.Attention) -> OpLayer:
        softmax, unit = handler.softmax, handler.logit_unit
        shift, multiplier = softmax.scale(unit)
        attributes = {"shift": shift, "multiplier": multiplier, "log2": int(softmax.log2)}
        bias, excluded = handler.bias()
        if bias is None and excluded is None:
            return OpLayer("IntSoftmax2n", {}, **attributes)
        heads, count, keys = *sizes(node)[-3:-1], sizes(node.nodes[1])[-2]
        codes = np.zeros((heads, count, keys), np.int16)
        if bias is not None:
            codes[:] = softmax.bias_codes(_whole_rows(bias, count, keys), unit)
        mask = np.zeros((1, count, keys), np.uint8)
        if excluded is not None:
            mask = _whole_rows(excluded, count, keys).cpu().numpy().astype(np.uint8)
        return OpLayer("IntSoftmax2nBias", {"bias": codes, "mask": mask}, **attributes)

    def activation(self, node: nodes.Activation, handler: handlers.Activation) -> None:
        """IntGELU: tables."""
        x = self.tokens(node.nodes[0])
        module = OpLayer("IntGELU", {"table": handler.layer.tables()})
        self.values[node] = self.call(self.names[handler.layer], module, [x], self.shapes[x])

    def add(self, node: nodes.Add, handler: handlers.Add) -> None:
        """A matmul with a residual, or with a constant in its place."""
        if handler.quantizer is None:
            return
        if handler.branch is None:
            self.values[node] = self._sum_of_codes(node, handler, handler.quantizer)
        elif handler.constant is None:
            branch, carried = (node.nodes[i] for i in (handler.branch, 1 - handler.branch))
            self.values[node] = self.fused(branch, handler, carried)
        else:
            self.values[node] = self.fused(node, handler)

    def _sum_of_codes(
        self, node: nodes.Add, handler: handlers.Add, quantizer: ResidualQuantizer
    ) -> int:
        """IntAdd, of two values or of one and a constant."""
        out = quantizer.channel_step
        multipliers = [residual_multiplier(step, out) for step in handler.steps()]
        constants: Constants = {}
        if handler.constant is not None:
            codes = _in_full(handler.quantized_constant().codes, node.shape)
            constants["B"] = codes.to(torch.int8).cpu()
            if isinstance(node.inputs[0], Const):
                multipliers.reverse()
        constants["a_multiplier"], constants["b_multiplier"] = multipliers
        module = OpLayer("IntAdd", constants, y_bits=quantizer.bits)
        inputs = [self.value(value) for value in node.nodes]
        return self.call(self.names[quantizer], module, inputs, node.shape)

    def concat(self, node: nodes.Concat, handler: handlers.Concat) -> None:
        """Values and constants one behind the other."""
        quantizer = handler.quantizer
        if quantizer is None:
            values = [self.value(value) for value in node.nodes]
            module = Join([None] * len(values), node.axis)
            self.values[node] = self.call(f"{node.path}.join", module, values, node.shape)
            return
        values = [self.fused(value, handler) for value in node.nodes]
        codes = [
            None if part is None else quantizer.codes(part.value).to(torch.int8).cpu()
            for part in handler.parts
        ]
        module = Join(_neighbours(codes, node.axis), node.axis)
        self.values[node] = self.call(self.names[quantizer], module, values, node.shape)

    def mean(self, node: nodes.Mean, handler: handlers.Mean) -> None:
        """IntWeightedMean with equal weights."""
        ratio = array(handler.source.step / handler.quantizer.step).item()
        source = node.nodes[0]
        x, shape = self.value(source), source.shape
        rest = [axis for axis in range(1, len(shape)) if axis not in node.axes]
        order = (0, *node.axes, *rest)
        if order != tuple(range(len(shape))):
            shape = tuple(shape[axis] for axis in order)
            swap = Move(node.path, (source,), shape, TorchCall(Tensor.permute, (Operand(0), order)))
            x = self.call(f"{node.path}.move", Moves([swap]), [x], shape)
        tokens, channels = (
            math.prod(sizes(source)[axis] for axis in axes) for axes in (node.axes, rest)
        )
        x = self.reshaped(x, (Batch(1), tokens, channels), node.path)
        module = TokenMean(tokens, **_mean_attributes(ratio, handler.quantizer.bits))
        mean = self.call(self.names[handler.quantizer], module, [x], (Batch(1), 1, channels))
        self.values[node] = self.reshaped(mean, node.shape, node.path)

    def max(self, node: nodes.Max, handler: handlers.Max) -> None:
        """A standard op: larger codes of one step stand for larger values."""
        module = Apply(partial(torch.amax, dim=node.axes, keepdim=node.keep))
        x = self.value(node.nodes[0])
        self.values[node] = self.call(f"{node.path}.max", module, [x], node.shape)

    def _dequantize(self, node: Node) -> Dequantize:
        """The last border, behind the integers of an output."""
        grid = self.model.handlers[node].grid
        if grid is None:
            return Dequantize(self.matmuls.output_step(node))
        step = grid.channel_step.expand(width(node))
        return Dequantize(array(step).astype(np.float32))


def _mean_attributes(ratio: float, bits: int) -> dict[str, int]:
    """Of an IntWeightedMean, for steps of values and output of that ratio."""
    shift, multiplier = fixed_point.weighted_mean_scale(ratio)
    return {"shift": shift, "multiplier": multiplier, "y_bits": bits}


def _rotary(
    cos: NDArray[np.int16], sin: NDArray[np.int16], pairs: bool, ratio: float, bits: int
) -> OpLayer:
    """An IntRotary between steps of that ratio."""
    shift, multiplier = fixed_point.rotary_scale(ratio)
    scale = {"shift": shift, "multiplier": multiplier}
    return OpLayer("IntRotary", {"cos": cos, "sin": sin}, pairs=int(pairs), y_bits=bits, **scale)


def _whole_rows(values: Tensor, queries: int, keys: int) -> Tensor:
    """What is broadcast against logits [..., N, M], for each of them, [-1, N, M]."""
    return values.expand(*values.shape[:-2], queries, keys).reshape(-1, queries, keys)


def _in_order(table: Tensor, op: HeadOp) -> Tensor:
    """A table of a node's rows in the order of qkv, [T, H or 1, D]."""
    rows = table.broadcast_to(sizes(op.node)).flatten(0, -2)[op.order]
    first = rows[:, :1]
    return first if torch.equal(rows, first.expand_as(rows)) else rows


def _in_full(constant: Tensor, shape: Shape) -> Tensor:
    """A constant in the rank of a value of ``shape``, in its sizes but for ones in front."""
    constant = constant.reshape(*(1,) * (len(shape) - constant.ndim), *constant.shape)
    first = next((axis for axis, size in enumerate(constant.shape) if size > 1), len(shape) - 1)
    rest = [size.times if isinstance(size, Batch) else size for size in shape[first:]]
    return constant.expand(*constant.shape[:first], *rest)


def _neighbours(parts: list[Tensor | None], axis: int) -> list[Tensor | None]:
    """The same with constants that follow each other made one."""
    joined: list[Tensor | None] = []
    for part in parts:
        before = joined[-1] if joined else None
        if part is None or before is None:
            joined.append(part)
        else:
            joined[-1] = torch.cat((before, part), axis)
    return joined


_CONVERTERS: dict[type[Node], Callable[[_Conversion, Any, Any], None]] = {
    nodes.Linear: _Conversion.linear,
    nodes.Heads: _Conversion.linear,
    nodes.Norm: _Conversion.norm,
    nodes.Attention: _Conversion.attention,
    nodes.Rope: _Conversion.rope,
    nodes.Gate: _Conversion.gate,
    nodes.Scale: _Conversion.scale,
    nodes.Activation: _Conversion.activation,
    nodes.Add: _Conversion.add,
    nodes.Concat: _Conversion.concat,
    nodes.Mean: _Conversion.mean,
    nodes.Max: _Conversion.max,
}
