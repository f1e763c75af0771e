"""The package's functions, as a program uses them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

import torch  # noqa: E402

import pqv_onnx  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent / "train"))

import striped  # noqa: E402

from pqv_onnx.checkpoint import save_qat  # noqa: E402
from pqv_onnx.errors import PqvError  # noqa: E402
from pqv_onnx.train.models import FloatSource  # noqa: E402


def test_from_a_module_to_its_accuracy(tmp_path: Path) -> None:
    model = FloatSource(seed=0).load(striped.NAME)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    made = pqv_onnx.calibrate(model, images, "w4a8", labels=("a", "b"), quick=True)
    save_qat(tmp_path / "c.safetensors", made)
    loaded = pqv_onnx.load(tmp_path / "c.safetensors")
    assert loaded.config.labels == ("a", "b") and loaded.config.spec.name == "w4a8"
    pqv_onnx.export(loaded, tmp_path / "m.onnx", input="uint8")
    assert pqv_onnx.verify(tmp_path / "m.onnx", batches=[1]).bit_exact
    (tmp_path / "m.onnx").rename(tmp_path / "m.ONNX")  # as some file systems name it
    data = striped.make_folders(tmp_path / "data", images=2)
    files = [tmp_path / "c.safetensors", tmp_path / "m.ONNX"]
    found = pqv_onnx.evaluate(files, data)
    assert [one.kind for one in found] == ["fake-quantized", "onnx, library"]
    assert found[0].top1 == found[1].top1 and found[0].images == 4
    with pytest.raises(PqvError, match="top_k is 1.5, expected a whole number from 1 on"):
        pqv_onnx.export(loaded, tmp_path / "k.onnx", top_k=1.5)  # type: ignore[arg-type]
    with pytest.raises(PqvError, match="is a VisionTransformer, expected a QuantModel"):
        pqv_onnx.export(model, tmp_path / "k.onnx")  # type: ignore[arg-type]


@pytest.mark.parametrize("models", [[], "m.onnx", Path("m.onnx")])
def test_models_that_are_no_list(models: Any, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="expected a list of at least one file"):
        pqv_onnx.evaluate(models, tmp_path)
    with pytest.raises(PqvError, match="batch_size is 0"):
        pqv_onnx.evaluate(["m.onnx"], tmp_path, batch_size=0)


def test_what_is_no_model_of_timm() -> None:
    images = torch.zeros(1, 3, 32, 32)
    with pytest.raises(pqv_onnx.PqvError, match="the model is a str, expected a module of timm"):
        pqv_onnx.calibrate(striped.NAME, images)
    wrapped = torch.nn.DataParallel(FloatSource(seed=0).load(striped.NAME))
    with pytest.raises(pqv_onnx.PqvError, match="the model is a DataParallel, .* another around"):
        pqv_onnx.calibrate(wrapped, images)


def test_every_name_is_there() -> None:
    assert all(getattr(pqv_onnx, name) is not None for name in pqv_onnx.__all__)
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        pqv_onnx.quantise  # noqa: B018
