"""Swin from timm to a file that every way of running gives the same bits."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pqv_onnx.checkpoint import save_qat
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.spec import PRESETS
from pqv_onnx.verification import verify_model
from tests.qat.models import qat_model


@pytest.mark.parametrize("precision", PRESETS)
def test_exported_swin_is_bit_exact(precision: str, tmp_path: Path) -> None:
    model = qat_model("swin", precision)
    path, checkpoint = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    save_qat(checkpoint, model)
    export_onnx(convert_to_integer(model), path)
    assert inspect_model(path)["float_nodes"] == []
    report = verify_model(path, checkpoint=checkpoint)  # batches of 1 and 3
    assert report.bit_exact
    assert {comparison.reference for comparison in report.comparisons} == {"torch oracle"}
    bits = 4 if precision.startswith("w4") else 8
    nodes = {node.name: node.op_type for node in onnx.load(path).graph.node}
    assert nodes["patch_embed.proj"] == "PackedInt8MatMul"
    assert nodes["patch_embed.norm"] == "IntLayerNorm"
    assert nodes["layers.0.blocks.1.attn.attention"] == "IntWindowAttention"
    assert nodes["layers.0.blocks.1.attn.proj"] == f"PackedInt{bits}MatMulAdd"
    assert nodes["layers.0.blocks.1.mlp.fc1"] == f"PackedInt{bits}MatMulGELU"
    assert nodes["layers.1.downsample.reduction"] == f"PackedInt{bits}MatMul"
    assert nodes["head.fc"] == "PackedInt8MatMulToInt32"
