"""From a torch module to an ONNX graph, on ``torch.onnx.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnx.defs import OpSchema
from onnxscript import opset19, values
from torch import Tensor, nn

from pqv_onnx.integer import border  # noqa: F401 - registers the border ops with torch
from pqv_onnx.ops import domain
from pqv_onnx.ops.registry import TORCH_OPS

OPSET = 19

_TENSOR_TYPES = {
    "int8": "tensor(int8)",
    "uint8": "tensor(uint8)",
    "int16": "tensor(int16)",
    "int32": "tensor(int32)",
}
_ATTRIBUTE_TYPES = {int: OpSchema.AttrType.INT, str: OpSchema.AttrType.STRING}


def to_onnx(
    model: nn.Module,
    example: Tensor,
    input_name: str,
    outputs: Sequence[str],
    opset: int | None = OPSET,
) -> ir.Model:
    """Trace a module of one input.

    Args:
        model: of batches; its parameters become initializers.
        example: a batch of two, for any batch, or of one, for one image only.
        input_name: of the graph.
        outputs: names of what it gives.
        opset: of the standard ops; None for the exporter's own choice.
    """
    # torch.export takes a size of one for a constant.
    batch = {0: torch.export.Dim("batch")} if len(example) > 1 else None
    with _silence():
        program = torch.onnx.export(
            model.eval(),
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=[input_name],
            output_names=list(outputs),
            dynamic_shapes=(batch,),
            custom_translation_table=translation_table(),
            verbose=False,
        )
    assert program is not None  # it is for dynamo=True
    _make_contiguous(program.model)
    return program.model


@contextmanager
def _silence() -> Iterator[None]:
    """Neither warnings nor the exporter's own log."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _make_contiguous(model: ir.Model) -> None:
    """Store parameters row by row: passes that look at the bytes refuse a transposed view."""
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        array = value.const_value.numpy()
        if not array.flags.c_contiguous:
            value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Torch op -> the function that makes its ONNX node, for ``custom_translation_table``."""
    table: dict[Callable[..., Any], Callable[..., Any]] = {
        TORCH_OPS[op.name]: _node_maker(op) for op in domain.OPS.values()
    }
    table[torch.ops.pqv.quantize_linear.default] = _quantize_linear
    table[torch.ops.pqv.dequantize_linear.default] = _dequantize_linear
    return table


def _schema(op: domain.Op) -> OpSchema:
    parameter = OpSchema.FormalParameter
    return OpSchema(
        op.name,
        domain.DOMAIN,
        domain.VERSION,
        inputs=[parameter(i.name, _TENSOR_TYPES[i.dtype]) for i in op.inputs],
        outputs=[parameter("Y", _TENSOR_TYPES[op.output_dtype])],
        attributes=[OpSchema.Attribute(a.name, _ATTRIBUTE_TYPES[a.type]) for a in op.attributes],
    )


def _node_maker(op: domain.Op) -> Callable[..., Any]:
    make = values.Op(values.Opset(domain.DOMAIN, domain.VERSION), op.name, _schema(op))
    names = [attribute.name for attribute in op.attributes]
    # Every attribute is written out, also one at its default: the file then says all of it.
    defaults = {a.name: a.default for a in op.attributes if a.default is not None}

    def translate(*args: Any, **kwargs: Any) -> Any:
        tensors, attributes = args[: len(op.inputs)], args[len(op.inputs) :]
        given = dict(zip(names, attributes, strict=False))
        return make(*tensors, **{**defaults, **given, **kwargs})

    return translate


def _quantize_linear(x: Any, scale: float) -> Any:
    zero_point = opset19.Constant(value=ir.tensor(0, dtype=ir.DataType.INT8))
    return opset19.QuantizeLinear(x, opset19.Constant(value_float=scale), zero_point)


def _dequantize_linear(x: Any, scale: Any) -> Any:
    return opset19.DequantizeLinear(x, scale, axis=-1)
