"""All torch ops and ONNX functions of the domain, by ONNX name. Importing it registers them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module

import onnx
import torch
from onnxscript import OnnxFunction

from pqv_onnx import ops
from pqv_onnx.errors import PqvError
from pqv_onnx.ops import arithmetic
from pqv_onnx.ops.documentation import all_nodes, document
from pqv_onnx.ops.domain import DOMAIN, OPS

_MODULES = [
    import_module(f"{ops.__name__}.{entry.name}")
    for entry in pkgutil.iter_modules(ops.__path__)
    if entry.name.startswith(("int_", "packed_"))
]

_DEFINED: dict[str, OnnxFunction] = {
    function.name: function
    for module in (arithmetic, *_MODULES)
    for function in vars(module).values()
    if isinstance(function, OnnxFunction)
}
"""The ONNX functions of both domains: the ops' and those that they call."""

if _missing := OPS.keys() - _DEFINED:
    raise ImportError(f"domain.py declares {sorted(_missing)}, which no ops/int_*.py defines")

FUNCTIONS: dict[str, OnnxFunction] = {name: _DEFINED[name] for name in OPS}
"""The ONNX function of each op."""

TORCH_OPS: dict[str, torch._ops.OpOverload] = {
    name: getattr(getattr(torch.ops, DOMAIN), op.torch_name).default for name, op in OPS.items()
}
"""The torch op of each op."""


def function_protos(names: Iterable[str]) -> list[onnx.FunctionProto]:
    """The functions to attach to a model, with every function that they call.

    Args:
        names: ONNX names of ops of the domain.

    Returns:
        Each function once, callees before callers, so that a reader meets no unknown name.
        Their domains are ``pqv`` and ``pqv.math``; a model needs an opset import for each.

    Raises:
        PqvError: A name is no op of the domain.
    """
    protos: dict[str, onnx.FunctionProto] = {}
    math = arithmetic.math

    def add(function: OnnxFunction) -> None:
        if function.name in protos:
            return
        proto = function.to_function_proto()
        calls = (node for node in all_nodes(proto.node) if node.domain in (DOMAIN, math.domain))
        callees = [node.op_type for node in calls]
        for callee in callees:
            add(_DEFINED[callee])
        # onnxscript overlooks the domains of calls within the branches of an If.
        if callees and math.domain not in {entry.domain for entry in proto.opset_import}:
            proto.opset_import.append(onnx.helper.make_opsetid(math.domain, math.version))
        document(proto)
        protos[function.name] = proto

    for name in names:
        if name not in FUNCTIONS:
            raise PqvError(f"the domain {DOMAIN} has no op named {name!r}")
        add(FUNCTIONS[name])
    return list(protos.values())
