"""Models of a single op and sessions on the library; needs numpy, onnx and onnxruntime only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from pqv_onnx.ops.domain import DOMAIN, OPS, VERSION
from pqv_onnx.runtime.library import get_library_path

Inputs = Mapping[str, np.ndarray]

LIBRARY_DOMAIN = "pqv.library"


def constant_inputs(name: str) -> frozenset[str]:
    """Names of the inputs of an op that must be constants."""
    return frozenset(entry.name for entry in OPS[name].inputs if entry.constant)


def value_info(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    """A graph input of the array's type and rank, its dimensions unknown."""
    elements = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, elements, [f"{name}_{i}" for i in range(array.ndim)])


def make_model(
    name: str,
    inputs: Inputs,
    attributes: Mapping[str, Any],
    constants: frozenset[str] | None = None,
) -> bytes:
    """One node. ``constants`` names the inputs stored in the model, else those of the table."""
    constants = constant_inputs(name) if constants is None else constants
    node = helper.make_node(
        name, list(inputs), ["Y"], name="the_node", domain=DOMAIN, **dict(attributes)
    )
    graph = helper.make_graph(
        [node],
        "graph",
        [value_info(key, array) for key, array in inputs.items() if key not in constants],
        [helper.make_empty_tensor_value_info("Y")],
        [numpy_helper.from_array(inputs[key], key) for key in inputs if key in constants],
    )
    return _serialize(graph, DOMAIN)


def _serialize(graph: onnx.GraphProto, domain: str) -> bytes:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


@contextmanager
def forced_isa(isa: str | None) -> Iterator[None]:
    """``PQV_ISA`` set to ``isa`` within the block, or left alone for None."""
    before = os.environ.get("PQV_ISA")
    if isa is not None:
        os.environ["PQV_ISA"] = isa
    try:
        yield
    finally:
        if isa is not None:
            del os.environ["PQV_ISA"]
            if before is not None:
                os.environ["PQV_ISA"] = before


def make_session(
    model: bytes, isa: str | None = None, threads: int = 1
) -> onnxruntime.InferenceSession:
    """A session with the library registered under ``PQV_ISA=isa``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # outputs from malloc, which AddressSanitizer watches
    with forced_isa(isa):
        options.register_custom_ops_library(get_library_path())
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    name: str,
    inputs: Inputs,
    attributes: Mapping[str, Any],
    isa: str | None = None,
    threads: int = 1,
    constants: frozenset[str] | None = None,
) -> np.ndarray:
    """The output of one node."""
    constants = constant_inputs(name) if constants is None else constants
    session = make_session(make_model(name, inputs, attributes, constants), isa, threads)
    feeds = {key: array for key, array in inputs.items() if key not in constants}
    output: np.ndarray = session.run(None, feeds)[0]
    return output


def make_info_session(isa: str | None = None) -> onnxruntime.InferenceSession:
    """A session of the op Info."""
    probe = np.zeros(1, np.int8)
    node = helper.make_node("Info", ["probe"], ["text"], domain=LIBRARY_DOMAIN)
    outputs = [helper.make_tensor_value_info("text", onnx.TensorProto.UINT8, [None])]
    graph = helper.make_graph([node], "graph", [value_info("probe", probe)], outputs)
    return make_session(_serialize(graph, LIBRARY_DOMAIN), isa)


def library_info(isa: str | None = None) -> dict[str, Any]:
    """What the op Info reports."""
    (text,) = make_info_session(isa).run(None, {"probe": np.zeros(1, np.int8)})
    info: dict[str, Any] = json.loads(text.tobytes().decode())
    return info
