"""Passes on an exported graph, each small, each with what must hold after it.

Order: `NameByModule`, `FuseGelu` (in `pqv_onnx.graph.fusion`), onnx_ir's passes that store equal
constants once and clear the exporter's notes, `AttachFunctions`; on the proto `write_notes` (in
`pqv_onnx.graph.notes`), then `check_exported`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

import onnx
import onnx_ir as ir

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.summary import float_nodes, value_types
from pqv_onnx.ops.domain import DOMAIN
from pqv_onnx.ops.registry import function_protos

_SCOPES = "pkg.torch.onnx.name_scopes"


class NameByModule(ir.passes.InPlacePass):
    """Name nodes after the torch module that made them.

    A ``pqv`` node and its output get the module's path (``blocks.0.attn.qkv``), so that the
    graph, the checkpoint and the torch oracle speak of the same thing; a standard node gets
    the path and its op type. Values of residual streams have names of their own.
    """

    def __init__(self, streams: Mapping[str, str]) -> None:
        """Take names for what the last node of some modules gives, by the module's path."""
        super().__init__()
        self.streams = streams

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rename in place."""
        seen: Counter[str] = Counter()
        outputs = set(model.graph.outputs)
        for node in model.graph:
            module = _module_path(node)
            name = module if node.domain == DOMAIN else f"{module}/{node.op_type}".lstrip("/")
            seen[name] += 1
            node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"
            for index, value in enumerate(node.outputs):
                if value not in outputs:
                    value.name = node.name if len(node.outputs) == 1 else f"{node.name}_{index}"
        last = {_module_path(node): node for node in model.graph}
        for module, name in self.streams.items():
            if module in last and last[module].outputs[0] not in outputs:
                last[module].outputs[0].name = name
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        """Names of nodes are unique."""
        names = [node.name for node in model.graph]
        if len(set(names)) != len(names):
            raise ir.passes.PostconditionError("two nodes have one name")


def _module_path(node: ir.Node) -> str:
    """Path of the innermost torch module around the node; the last scope is the op itself.

    Nodes that the exporter itself made (for the batch size) have a placeholder for a module.
    """
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    path = scopes[-2] if len(scopes) >= 2 else ""
    return "" if path.startswith("_empty_nn_module") else path


class AttachFunctions(ir.passes.InPlacePass):
    """Attach the definition of every ``pqv`` op in the graph as a model-local function."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Add the functions and import their domains."""
        used = sorted({node.op_type for node in model.graph if node.domain == DOMAIN})
        for proto in function_protos(used):
            function = ir.serde.deserialize_function(proto)
            model.functions[function.identifier()] = function
            for name, version in function.opset_imports.items():
                model.opset_imports.setdefault(name, version)
        return ir.passes.PassResult(model, modified=bool(used))

    def ensures(self, model: ir.Model) -> None:
        """Every node of the domain has its function."""
        attached = {function.name for function in model.functions.values()}
        for node in model.graph:
            if node.domain == DOMAIN and node.op_type not in attached:
                raise ir.passes.PostconditionError(f"{node.op_type} has no function")


def check_exported(model: onnx.ModelProto) -> None:
    """What every export promises: valid, typed and shaped throughout, no float inside.

    Raises:
        PqvError: a promise is broken; it names the node or value.
    """
    onnx.checker.check_model(model, full_check=True)
    types = value_types(model)
    for node in model.graph.node:
        for name in node.output:
            if name not in types or not types[name].HasField("shape"):
                raise PqvError(f"the value {name} of node {node.name} has no type and shape")
    if found := float_nodes(model):
        raise PqvError(f"floating point between the border nodes: {', '.join(found[:5])}")
