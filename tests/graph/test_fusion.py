"""Fused files: one op per self-attention, GELUs in matmuls, the bits of the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from pqv_onnx.checkpoint import save_qat
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.graph.fusion import FuseGelu
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.spec import PRESETS
from pqv_onnx.verification import verify_model
from pqv_onnx.verification.compare import first_difference
from pqv_onnx.verification.runners import all_runners, expose_values
from tests.qat.models import images, qat_model


@pytest.mark.parametrize("precision", PRESETS)
@pytest.mark.parametrize("variant", ["token", "distilled", "average"])
def test_fused_and_plain_give_the_same_bits(variant: str, precision: str, tmp_path: Path) -> None:
    model = qat_model(variant, precision)
    integer = convert_to_integer(model)
    export_onnx(integer, tmp_path / "fused.onnx")
    export_onnx(integer, tmp_path / "plain.onnx", fuse=False)
    fused, plain = (onnx.load(tmp_path / f"{name}.onnx") for name in ("fused", "plain"))
    names = [(node.name, node.op_type, node.output[0]) for node in fused.graph.node]
    pixels = images(3).numpy()
    for runner in all_runners():
        values = [
            runner.run(runner.session(expose_values(each)), pixels) for each in (plain, fused)
        ]
        compared, difference = first_difference(names, values[0], values[1])
        assert difference is None, runner.name
        assert compared == len(names) - 2  # all but the two new nodes
        # What IntAttention writes is what its parts did.
        for block in range(2):
            merged = values[0][f"blocks.{block}.attn/Reshape_2"]
            assert np.array_equal(values[1][f"blocks.{block}.attn.attention"], merged)
    save_qat(tmp_path / "m.safetensors", model)
    assert verify_model(tmp_path / "fused.onnx", checkpoint=tmp_path / "m.safetensors").bit_exact


def test_one_node_takes_the_place_of_all(tiny_onnx: dict[str, Path]) -> None:
    for path in tiny_onnx.values():
        model = onnx.load(path)
        between = [n for n in model.graph.node if n.name.startswith("blocks.1.attn")]
        assert [n.name.rpartition(".")[2] for n in between] == ["qkv", "attention", "proj"]
        assert list(between[1].input) == list(between[0].output) == ["blocks.1.attn.qkv"]
        assert list(between[1].output) == ["blocks.1.attn.attention"] == [between[2].input[0]]
        read = {name for node in model.graph.node for name in node.input}
        assert {tensor.name for tensor in model.graph.initializer} <= read
        assert inspect_model(path)["ops"]["pqv"]["IntAttention"] == 2


def test_macs_stay_the_same(tiny_qat: dict[str, object], tmp_path: Path) -> None:
    integer = convert_to_integer(tiny_qat["w4a4"])
    macs = []
    for fuse in (False, True):
        export_onnx(integer, tmp_path / "m.onnx", fuse=fuse)
        macs.append(inspect_model(tmp_path / "m.onnx")["macs"])
    assert macs[1]["IntAttention"] == macs[0]["IntMatMul"] + macs[0]["IntWeightedMean"]
    assert macs[1]["total"] == macs[0]["total"]


def test_a_gelu_becomes_part_of_its_matmul(
    tiny_qat: dict[str, object], tiny_onnx: dict[str, Path]
) -> None:
    for precision, path in tiny_onnx.items():
        bits = 4 if precision.startswith("w4") else 8
        nodes = [n for n in onnx.load(path).graph.node if n.name.startswith("blocks.1.mlp")]
        fc1, fc2 = nodes
        assert (fc1.name, fc1.op_type) == ("blocks.1.mlp.fc1", f"PackedInt{bits}MatMulGELU")
        assert list(fc1.output) == ["blocks.1.mlp.act"] == [fc2.input[0]]
        assert [fc1.input[i] for i in (0, 1, 5)] == [
            "blocks.1.norm2",
            "blocks.1.mlp.fc1.weight",
            "blocks.1.mlp.act.table",
        ]
        found = inspect_model(path)
        assert found["weight_bits"]["blocks.1.mlp.fc1"] == bits
        assert "IntGELU" not in found["ops"]["pqv"]


def _gelus_left(path: Path, change: Callable[[ir.Node], None]) -> list[str]:
    """Names of the IntGELU that FuseGelu leaves after a change of the first block's fc1."""
    model = ir.load(path)
    change(next(node for node in model.graph if node.name == "blocks.0.mlp.fc1"))
    FuseGelu()(model)
    return [str(node.name) for node in model.graph if node.op_type == "IntGELU"]


def test_matmuls_that_are_read_elsewhere_or_narrower_stay(
    tiny_qat: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    export_onnx(convert_to_integer(tiny_qat["w8a8"]), path, fuse=False)

    def read_elsewhere(fc1: ir.Node) -> None:
        assert fc1.graph is not None
        fc1.graph.outputs.append(fc1.outputs[0])

    def narrower(fc1: ir.Node) -> None:
        fc1.attributes["y_bits"] = ir.AttrInt64("y_bits", 4)

    assert _gelus_left(path, lambda _: None) == []
    assert _gelus_left(path, read_elsewhere) == ["blocks.0.mlp.act"]
    assert _gelus_left(path, narrower) == ["blocks.0.mlp.act"]


@pytest.mark.parametrize(
    ("variant", "precision"), [("swin", "w8a8"), ("swin", "w4a4"), ("swin_one_axis", "w4a4")]
)
def test_fused_and_plain_swin_give_the_same_bits(
    variant: str, precision: str, tmp_path: Path
) -> None:
    """Windows that are shifted, along both axes or one, and windows that are not."""
    integer = convert_to_integer(qat_model(variant, precision))
    for fuse in (False, True):
        export_onnx(integer, tmp_path / f"{fuse}.onnx", fuse=fuse)
    plain, fused = (onnx.load(tmp_path / f"{fuse}.onnx") for fuse in (False, True))
    nodes = {node.name: node for node in fused.graph.node}
    softmax = [node.name for node in plain.graph.node if node.op_type == "IntSoftmax2nBias"]
    paths = [name.removesuffix(".softmax") for name in softmax]
    assert {nodes[f"{path}.attention"].op_type for path in paths} == {"IntWindowAttention"}
    assert not {node.op_type for node in fused.graph.node} & {"Slice", "Squeeze", "IntMatMul"}
    names = [(node.name, node.op_type, node.output[0]) for node in fused.graph.node]
    pixels = images(3).numpy()
    for runner in all_runners():
        values = [
            runner.run(runner.session(expose_values(each)), pixels) for each in (plain, fused)
        ]
        compared, difference = first_difference(names, values[0], values[1])
        assert difference is None, runner.name
        assert compared == len(names) - len(paths)  # all but the new nodes
    macs = [inspect_model(tmp_path / f"{fuse}.onnx")["macs"]["total"] for fuse in (False, True)]
    assert macs[0] == macs[1]
