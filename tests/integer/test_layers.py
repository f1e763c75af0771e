"""A layer is its op, in torch and in a file."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.graph.translate import OPSET, translation_table
from pqv_onnx.integer.layers import OpLayer
from pqv_onnx.ops.domain import OPS
from pqv_onnx.ops.registry import TORCH_OPS
from tests.ops.cases import random_case


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if not op.weight_bits])
def test_is_its_op(name: str) -> None:
    case = random_case(name, 0, small=True)
    tensors = {key: torch.from_numpy(array) for key, array in case.inputs.items()}
    fixed = {entry.name for entry in OPS[name].inputs if entry.constant}
    constants = {key: case.inputs[key] for key in fixed}
    activations = tuple(tensor for key, tensor in tensors.items() if key not in fixed)
    layer = OpLayer(name, constants, **case.attributes)
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
