"""The functions that go into a file: complete, integer only, valid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import DOMAIN, OPS
from pqv_onnx.ops.registry import FUNCTIONS, TORCH_OPS, function_protos
from tests.ops.cases import random_case
from tests.ops.single_op import make_model

INTEGER_TYPES = {
    onnx.TensorProto.DataType.Value(name)
    for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "BOOL")
}
FLOAT_OPS = {"Sqrt", "Pow", "Exp", "Log", "Reciprocal", "Round", "Floor", "Erf", "Softmax"}


def nodes_of(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(attribute.g.node)


def test_every_op_has_both() -> None:
    assert list(FUNCTIONS) == list(TORCH_OPS) == list(OPS)


@pytest.mark.parametrize("name", OPS)
def test_signature_follows_the_table(name: str) -> None:
    proto = FUNCTIONS[name].to_function_proto()
    table = OPS[name]
    assert (proto.domain, proto.name) == (DOMAIN, name)
    assert list(proto.input) == [entry.name for entry in table.inputs]
    required = [entry.name for entry in table.attributes if entry.default is None]
    defaults = {entry.name: entry.default for entry in table.attributes} | dict.fromkeys(required)
    assert list(proto.attribute) == required
    found = {attribute.name: attribute.i for attribute in proto.attribute_proto}
    assert found == {key: value for key, value in defaults.items() if value is not None}


def test_callees_come_first_and_once() -> None:
    protos = function_protos([*OPS, *OPS])
    known: set[tuple[str, str]] = set()
    for proto in protos:
        assert (proto.domain, proto.name) not in known
        for node in nodes_of(proto.node):
            assert node.domain in ("", "ai.onnx") or (node.domain, node.op_type) in known
        known.add((proto.domain, proto.name))
    assert {name for domain, name in known if domain == DOMAIN} == set(OPS)


def test_no_float_in_any_function() -> None:
    for proto in function_protos(OPS):
        versions = {opset.domain: opset.version for opset in proto.opset_import}
        assert versions.pop("", 19) == 19
        assert versions.pop(f"{DOMAIN}.math", 1) == 1
        assert versions.pop(DOMAIN, 1) == 1
        assert not versions
        for node in nodes_of(proto.node):
            assert node.domain or node.op_type not in FLOAT_OPS
            for attribute in node.attribute:
                if node.op_type == "Cast":
                    assert attribute.i in INTEGER_TYPES
                if attribute.type == onnx.AttributeProto.TENSOR:
                    assert attribute.t.data_type in INTEGER_TYPES
                assert attribute.type not in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS)


@pytest.mark.parametrize("name", OPS)
def test_checker_accepts_it(name: str) -> None:
    case = random_case(name, 0)
    model = make_model(name, case.inputs, case.attributes)
    onnx.checker.check_model(model, full_check=True)


def test_unknown_name() -> None:
    with pytest.raises(PqvError, match="no op named 'IntTanh'"):
        function_protos(["IntTanh"])
