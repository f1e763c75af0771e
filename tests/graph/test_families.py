"""Files of transformers beyond ViT and Swin: the library and the functions give the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.spec import QuantSpec
from pqv_onnx.verification.runners import all_runners
from tests.qat.test_families import quantized
from tests.trace.models import MODELS, images

OPS = {
    "beit": {"IntWindowAttention"},
    "dinov3": {"IntRotary", "IntAttention"},
    "eva02": {"IntRotary", "IntAttention", "IntGate"},
    "eva02_clip": {"IntRotary", "IntAttention", "IntGate"},
    "siglip": {"IntAttention", "IntSoftmax2n"},
    "swinv2": {"IntRMSNorm", "IntRotary", "IntAdd", "IntWindowAttention"},
    "aimv2": {"IntRMSNorm", "IntGate", "IntAdd"},
    "hiera": {"ReduceMax"},
    "mixer": {"IntAdd"},
    "resmlp": {"IntRotary", "IntAdd"},
}
"""Ops that some structures need, by structure."""


@pytest.mark.parametrize("structure", OPS)
def test_every_way_to_run_gives_the_oracles_bits(structure: str, tmp_path: Path) -> None:
    model, data = quantized(structure), images(MODELS[structure].size, 3)
    calibrate(model, data)
    integer = convert_to_integer(model)
    export_onnx(integer, tmp_path / "m.onnx")
    exported = onnx.load(tmp_path / "m.onnx")
    assert OPS[structure] <= {node.op_type for node in exported.graph.node}
    wanted = integer(data).numpy()
    name = exported.graph.output[0].name
    for runner in all_runners():
        found = runner.run(runner.session(exported.SerializeToString()), data.numpy())[name]
        assert np.array_equal(found, wanted), runner.name


def test_blocks_share_their_table_of_positions(tmp_path: Path) -> None:
    """Of a size at which the exporter by itself writes it for each of them."""
    size = (3, 128, 128)
    model = convert_to_qat(MODELS["dinov3"].make(), QuantSpec.preset("w8a8"), size=size)
    calibrate(model, images(size, 2))
    export_onnx(convert_to_integer(model), tmp_path / "m.onnx")
    exported = onnx.load(tmp_path / "m.onnx")
    turned = [node for node in exported.graph.node if node.op_type == "IntRotary"]
    tables = {name for node in turned for name in node.input[1:]}
    assert len(turned) == 4 and len(tables) == 2
    assert tables <= {tensor.name for tensor in exported.graph.initializer}
