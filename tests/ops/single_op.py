"""Models of a single op, made from the domain table, and ways to run them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import DOMAIN, OPS, VERSION
from pqv_onnx.ops.registry import TORCH_OPS, function_protos
from pqv_onnx.runtime.info import library_info
from pqv_onnx.runtime.library import get_library_path

Inputs = Mapping[str, np.ndarray]


def make_model(
    name: str, inputs: Inputs, attributes: Mapping[str, Any], with_function: bool = True
) -> onnx.ModelProto:
    """One node of the op; constant inputs as initializers, others with dynamic dimensions."""
    op = OPS[name]
    node = onnx.helper.make_node(
        name, [entry.name for entry in op.inputs], ["Y"], domain=DOMAIN, **attributes
    )
    constants = [
        onnx.numpy_helper.from_array(inputs[entry.name], entry.name)
        for entry in op.inputs
        if entry.constant
    ]
    graph_inputs = [
        onnx.helper.make_tensor_value_info(
            entry.name,
            onnx.helper.np_dtype_to_tensor_dtype(np.dtype(entry.dtype)),
            [f"{entry.name}_{axis}" for axis in range(inputs[entry.name].ndim)],
        )
        for entry in op.inputs
        if not entry.constant
    ]
    output_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(op.output_dtype))
    first = op.inputs[0]
    rank = inputs[first.name].ndim - len(first.dims) + len(op.output_dims)
    shape = [f"Y_{axis}" for axis in range(rank)]
    output = onnx.helper.make_tensor_value_info("Y", output_type, shape)
    graph = onnx.helper.make_graph([node], name, graph_inputs, [output], constants)
    functions = function_protos([name]) if with_function else []
    domains = [DOMAIN, *{f.domain for f in functions if f.domain != DOMAIN}]
    opsets = [onnx.helper.make_opsetid(domain, VERSION) for domain in domains]
    return onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", 19), *opsets],
        functions=functions,
        ir_version=10,
    )


def feeds(name: str, inputs: Inputs) -> dict[str, np.ndarray]:
    """The inputs that are no constants."""
    return {entry.name: inputs[entry.name] for entry in OPS[name].inputs if not entry.constant}


def run_torch(name: str, inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    """The torch op."""
    tensors = [torch.from_numpy(np.array(inputs[entry.name])) for entry in OPS[name].inputs]
    return TORCH_OPS[name](*tensors, **attributes).numpy()


def run_function(name: str, inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    """The ONNX function, on onnxruntime without the library."""
    return _run_session(name, inputs, attributes, _options())


def run_reference(name: str, inputs: Inputs, attributes: Mapping[str, Any]) -> np.ndarray:
    """The ONNX function, on the reference evaluator."""
    return ReferenceEvaluator(make_model(name, inputs, attributes)).run(None, feeds(name, inputs))[
        0
    ]


def run_library(
    name: str,
    inputs: Inputs,
    attributes: Mapping[str, Any],
    isa: str,
    with_function: bool = False,
) -> np.ndarray:
    """The library's kernel of one ISA variant; by default with no function to fall back to."""
    options = _options()
    with isa_variant(isa):
        options.register_custom_ops_library(get_library_path())
        return _run_session(name, inputs, attributes, options, with_function)


@contextmanager
def isa_variant(isa: str) -> Iterator[None]:
    """Forces a variant of the library's kernels within the block."""
    before = os.environ.get("PQV_ISA")
    os.environ["PQV_ISA"] = isa
    try:
        yield
    finally:
        if before is None:
            del os.environ["PQV_ISA"]
        else:
            os.environ["PQV_ISA"] = before


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _run_session(
    name: str,
    inputs: Inputs,
    attributes: Mapping[str, Any],
    options: onnxruntime.SessionOptions,
    with_function: bool = True,
) -> np.ndarray:
    model = make_model(name, inputs, attributes, with_function).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds(name, inputs))[0]


def assert_same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Same dtype, shape and bits; names the first place that differs."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    if not np.array_equal(found, expected):
        at = tuple(int(i) for i in np.argwhere(found != expected)[0])
        count = int((found != expected).sum())
        raise AssertionError(
            f"{what}: {count} of {found.size} differ, first {at}: {found[at]} for {expected[at]}"
        )


def library_variants() -> list[str]:
    """ISA variants of the built library that this machine can run; none without a library."""
    try:
        return list(library_info()["available"])
    except PqvError:
        return []
