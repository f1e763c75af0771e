from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from pqv_onnx.graph import inspect_model
from pqv_onnx.graph.summary import float_nodes


def test_macs_are_those_of_the_architecture(tiny_onnx: dict[str, Path]) -> None:
    tokens, patches, width, heads, hidden = 17, 16, 36, 3, 144
    per_block = tokens * width * (3 * width + width + 2 * hidden)
    attention = heads * tokens * tokens * (width // heads)
    macs = inspect_model(tiny_onnx["w4a4"])["macs"]
    assert macs["IntAttention"] == 2 * 2 * attention
    assert macs["total"] == patches * 48 * width + 2 * (per_block + 2 * attention) + width * 5
    doubled = inspect_model(tiny_onnx["w4a4"], batch=2)["macs"]
    assert doubled["total"] == 2 * macs["total"]


def test_weight_bytes_by_width(tiny_onnx: dict[str, Path]) -> None:
    w4a4 = inspect_model(tiny_onnx["w4a4"])["weight_bytes"]
    w8a8 = inspect_model(tiny_onnx["w8a8"])["weight_bytes"]
    # Every matrix of a block has K a multiple of 4; N = 36 is padded to 40 channels.
    block = 36 * (112 + 40 + 144) + 144 * 40
    outside = 48 * 40 + 36 * 8
    assert w4a4["int4"] == 2 * block // 2
    assert w4a4["int8"] == outside
    assert w8a8["int8"] == 2 * block + outside
    assert "int4" not in w8a8


def test_float_nodes_are_found_between_the_borders_only() -> None:
    def value(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [1])

    step = helper.make_tensor("step", TensorProto.FLOAT, [], [0.5])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step"], ["a"], name="first"),
        helper.make_node("Cast", ["a"], ["b"], name="inside", to=TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["c"], name="back", to=TensorProto.INT32),
        helper.make_node("DequantizeLinear", ["c", "step"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT)],
        [value("y", TensorProto.FLOAT)],
        [step],
        value_info=[
            value("a", TensorProto.UINT8),
            value("b", TensorProto.FLOAT),
            value("c", TensorProto.INT32),
        ],
    )
    assert float_nodes(helper.make_model(graph)) == ["inside", "back"]


def test_floats_in_function_bodies_are_found() -> None:
    cast = helper.make_node("Cast", ["x"], ["y"], name="cast", to=TensorProto.DOUBLE)
    function = helper.make_function(
        "pqv", "IntGELU", ["x"], ["y"], [cast], [helper.make_opsetid("", 18)]
    )
    model = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    assert float_nodes(model) == ["IntGELU/cast"]
