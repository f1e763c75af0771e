from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.graph.summary import value_types
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.ops.domain import DOMAIN, OPS

PRECISIONS = ("w8a8", "w4a4")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graph_is_valid_typed_and_integer_only(precision: str, tiny_onnx: dict[str, Path]) -> None:
    model = onnx.load(tiny_onnx[precision])
    onnx.checker.check_model(model, full_check=True)
    types = value_types(model)
    for node in model.graph.node:
        for name in node.output:
            assert types[name].HasField("shape"), name
    assert inspect_model(tiny_onnx[precision])["float_nodes"] == []
    assert model.ir_version <= 10


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nodes_are_named_by_module_and_functions_are_attached(
    precision: str, tiny_onnx: dict[str, Path], tiny_qat: dict[str, Any]
) -> None:
    model = onnx.load(tiny_onnx[precision])
    modules = dict(convert_to_integer(tiny_qat[precision]).named_modules())
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    assert used <= set(OPS)
    assert used <= {f.name for f in model.functions if f.domain == DOMAIN}
    for node in model.graph.node:
        if node.domain == DOMAIN:
            assert node.name in modules or node.op_type == "IntAttention"
        assert not node.metadata_props
    bits = {"w8a8": "8", "w4a4": "4"}[precision]
    names = {node.name: node.op_type for node in model.graph.node}
    assert names["blocks.0.attn.qkv"] == f"PackedInt{bits}MatMul"
    assert names["blocks.0.mlp.fc1"] == f"PackedInt{bits}MatMulGELU"
    assert names["blocks.1.mlp.fc2"] == f"PackedInt{bits}MatMulAdd"


def test_metadata_says_what_the_model_is(tiny_onnx: dict[str, Path]) -> None:
    entries = inspect_model(tiny_onnx["w4a4"])["metadata"]
    assert entries["pqv.precision"] == "w4a4"
    assert json.loads(entries["pqv.input_size"]) == [3, 16, 16]
    assert entries["pqv.minimum_onnxruntime"] == "1.18"
    assert json.loads(entries["pqv.scheme"])["weight"]["bits"] == 4


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_uint8_input_gives_the_bits_of_float_input(
    precision: str,
    layout: Literal["nchw", "nhwc"],
    tiny_qat: dict[str, Any],
    tiny_onnx: dict[str, Path],
    tmp_path: Path,
) -> None:
    integer = convert_to_integer(tiny_qat[precision])
    export_onnx(integer, tmp_path / "m.onnx", input="uint8", layout=layout)
    assert inspect_model(tmp_path / "m.onnx")["float_nodes"] == []
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), dtype=np.uint8)
    preprocessing = integer.config.preprocessing
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    images = ((torch.from_numpy(pixels).to(torch.float32) / 255 - mean) / std).numpy()
    fed = pixels if layout == "nchw" else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    (expected,) = pqv_onnx.InferenceSession(tiny_onnx[precision]).run(None, {"images": images})
    (found,) = pqv_onnx.InferenceSession(tmp_path / "m.onnx").run(None, {"pixels": fed})
    assert np.array_equal(expected, found)


def test_unknown_input_is_refused(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    integer = convert_to_integer(tiny_qat["w8a8"])
    with pytest.raises(PqvError, match="int4"):
        export_onnx(integer, tmp_path / "m.onnx", input="int4")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    integer = convert_to_integer(tiny_qat["w8a8"])
    with pytest.raises(PqvError, match="no folder"):
        export_onnx(integer, tmp_path / "missing" / "m.onnx")
    with pytest.raises(PqvError, match="is a folder"):
        export_onnx(integer, tmp_path)


def test_every_attribute_is_written(tiny_onnx: dict[str, Path]) -> None:
    for node in onnx.load(tiny_onnx["w4a4"]).graph.node:
        if node.domain == DOMAIN:
            names = {attribute.name for attribute in OPS[node.op_type].attributes}
            assert {attribute.name for attribute in node.attribute} == names


def test_the_reference_evaluator_reads_the_file(tiny_onnx: dict[str, Path]) -> None:
    images = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    for path in tiny_onnx.values():
        (expected,) = pqv_onnx.InferenceSession(path).run(None, {"images": images})
        (found,) = ReferenceEvaluator(str(path)).run(None, {"images": images})
        assert np.array_equal(expected, found)
