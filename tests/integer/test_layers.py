"""Layers that no model has yet: each is its op, in torch and in a file."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pqv_onnx.graph.translate import OPSET, translation_table
from pqv_onnx.integer.layers import Add, Gate, RmsNorm, Rotary
from pqv_onnx.ops.registry import TORCH_OPS
from tests.ops.cases import Case, random_case


def make_layer(case: Case) -> nn.Module:
    """The layer with the constants and attributes of a case."""
    x, a = case.inputs, case.attributes
    if case.name == "IntAdd":
        return Add(x["a_multiplier"], x["b_multiplier"], a["y_bits"])
    if case.name == "IntRMSNorm":
        scale = (x["shift"], x["multiplier"])
        return RmsNorm(x["exponent"], scale, a["epsilon"], a["y_bits"])
    scale = (a["shift"], a["multiplier"])
    if case.name == "IntRotary":
        return Rotary(x["cos"], x["sin"], bool(a["pairs"]), scale, a["y_bits"])
    return Gate((a["a_zero_point"], a["b_zero_point"]), scale, a["y_bits"])


@pytest.mark.parametrize("name", ["IntAdd", "IntRMSNorm", "IntRotary", "IntGate"])
def test_is_its_op(name: str) -> None:
    case = random_case(name, 0, small=True)
    tensors = {key: torch.from_numpy(array) for key, array in case.inputs.items()}
    activations = tuple(tensors[key] for key in ("X", "A", "B") if key in tensors)
    layer = make_layer(case)
    assert torch.equal(layer(*activations), TORCH_OPS[name](*tensors.values(), **case.attributes))

    program = torch.onnx.export(
        layer.eval(),
        activations,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
        custom_translation_table=translation_table(),
    )
    assert program is not None
    (node,) = (node for node in program.model_proto.graph.node if node.domain == "pqv")
    assert node.op_type == name
    assert {attribute.name: attribute.i for attribute in node.attribute} == case.attributes
