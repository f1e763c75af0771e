"""Embeddings of length 1, as floats and as codes: every way to run gives the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from pqv_onnx.checkpoint import save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.load import metadata
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.convert import for_task
from pqv_onnx.spec import QuantSpec
from pqv_onnx.verification import verify_model
from tests.trace.models import MODELS, images


def _unit(structure: str, precision: str, **schemes: str) -> QuantModel:
    small = MODELS[structure]
    spec = QuantSpec.preset(precision).with_schemes(schemes)
    model = convert_to_qat(small.make(), spec, task="unit_embedding")
    calibrate(model, images(small.size, 8))
    return model.eval()


@pytest.mark.parametrize(
    ("structure", "schemes"),
    [("vit", {}), ("clip", {"residual": "power-of-two"}), ("siglip", {}), ("swin", {})],
)
@torch.no_grad()
def test_near_the_float_embedding_at_length_1(structure: str, schemes: dict[str, str]) -> None:
    small, data = MODELS[structure], images(MODELS[structure].size, 8)
    model = _unit(structure, "w8a8", **schemes)
    found, wanted = model(data), for_task(small.make(), "unit_embedding")(data)
    torch.testing.assert_close(wanted.norm(dim=1), torch.ones(8))
    assert torch.cosine_similarity(found, wanted).min() > 0.9
    assert (found.norm(dim=1) - 1).abs().max() < 0.1
    assert torch.equal(convert_to_integer(model)(data), found)


@pytest.mark.parametrize("embedding", ["float", "int8"])
@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_every_way_gives_the_same_bits(precision: str, embedding: str, tmp_path: Path) -> None:
    """The torch oracle of the checkpoint, the functions, the library's variants."""
    path, checkpoint = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    model = _unit("vit", precision)
    save_qat(checkpoint, model)
    integer = convert_to_integer(model)
    export_onnx(integer, path, embedding=embedding)  # type: ignore[arg-type]
    report = verify_model(path, checkpoint=checkpoint)
    assert report.bit_exact and not report.float_nodes
    proto = onnx.load(path)
    (output,) = proto.graph.output
    kind = onnx.helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
    assert output.name == "unit_embedding"
    assert kind == {"float": np.float32, "int8": np.int8}[embedding]
    assert metadata(proto)["pqv.embedding"] == embedding


def test_codes_times_their_scale_are_the_float_embedding(tmp_path: Path) -> None:
    integer, data = convert_to_integer(_unit("vit", "w8a8")), images(MODELS["vit"].size)
    export_onnx(integer, tmp_path / "m.onnx", embedding="int8")
    scale = np.float32(metadata(onnx.load(tmp_path / "m.onnx"))["pqv.embedding_scale"])
    codes = integer.forward_int8(integer.quantize(data))
    assert codes.dtype == torch.int8 and codes.unique().numel() > 20
    assert np.array_equal(codes.numpy() * scale, integer(data).numpy())


@pytest.mark.parametrize("task", ["embedding", "logits"])
def test_other_tasks_have_no_codes(task: str, tmp_path: Path) -> None:
    model = convert_to_qat(MODELS["vit"].make(), QuantSpec.preset("w8a8"), task=task)
    calibrate(model, images(MODELS["vit"].size))
    with pytest.raises(PqvError, match=f"gives {task}, an int8 embedding wants the task unit_emb"):
        export_onnx(convert_to_integer(model), tmp_path / "m.onnx", embedding="int8")
    assert not list(tmp_path.iterdir())
