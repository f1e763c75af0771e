"""Feature maps: several results of one model, near timm's and the same bits in every way."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from pqv_onnx.checkpoint import load_qat, save_qat
from pqv_onnx.cli.app import app
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.standard import export_standard
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.convert import for_task
from pqv_onnx.qat.reconstruction import Reconstruction
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.evaluate import evaluate, float_subject, onnx_subject
from pqv_onnx.verification import verify_model
from tests.trace.models import MODELS, images


def _features(structure: str, precision: str = "w8a8", **schemes: str) -> QuantModel:
    small = MODELS[structure]
    spec = QuantSpec.preset(precision).with_schemes(schemes)
    model = convert_to_qat(small.make(), spec, task="features")
    calibrate(model, images(small.size, 8))
    return model.eval()


def _of_timm(model: nn.Module, data: Tensor) -> list[Tensor]:
    """All maps, channels last."""
    maps = model.forward_intermediates(data, intermediates_only=True)  # type: ignore[operator]
    return [one.permute(0, 2, 3, 1) for one in maps]


@pytest.mark.parametrize(
    ("structure", "residual"),
    [("swin", "rotated"), ("swin", "power-of-two"), ("swinv2", "rotated"), ("vit", "rotated")],
)
@torch.no_grad()
def test_near_timms_maps(structure: str, residual: str) -> None:
    small, data = MODELS[structure], images(MODELS[structure].size)
    model = _features(structure, residual=residual)
    found, wanted = model(data), _of_timm(small.make(), data)
    assert len(found) == len(wanted) > 1
    for one, timms in zip(found, wanted, strict=True):
        assert one.shape == timms.shape
        assert torch.cosine_similarity(one.flatten(1), timms.flatten(1)).min() > 0.97
    integers = convert_to_integer(model)(data)
    assert all(map(torch.equal, integers, found))


def test_each_stage_gives_a_map() -> None:
    """Of a Swin of images of 64 x 64 and patches of 4, before each merging."""
    backbone = _features("swin").config.backbone
    assert backbone.outputs == [f"features_{i}" for i in range(len(backbone.graph.outputs))]
    shapes = [output.shape[1:] for output in backbone.graph.outputs]
    assert all(rows == columns for rows, columns, _ in shapes)
    assert all(
        a[0] == 2 * b[0] and 2 * a[2] == b[2] for a, b in zip(shapes, shapes[1:], strict=False)
    )


def test_four_blocks_of_a_deep_model_give_a_map() -> None:
    """The last of each quarter, whatever the depth."""

    class Deep(nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            self.feature_info = [{}] * depth

        def forward_intermediates(self, x: Tensor, indices: list[int], **_: object) -> list[Tensor]:
            return [torch.full((1, 1, 1, 1), float(index)) for index in indices]

    found = {
        depth: [int(one) for one in for_task(Deep(depth), "features")(torch.zeros(1))]
        for depth in (2, 4, 12, 18)
    }
    assert found == {2: [0, 1], 4: [0, 1, 2, 3], 12: [2, 5, 8, 11], 18: [3, 8, 12, 17]}


@pytest.mark.parametrize(("structure", "precision"), [("swin", "w4a4"), ("vit", "w8a8")])
def test_every_way_gives_the_same_bits(structure: str, precision: str, tmp_path: Path) -> None:
    """The torch oracle of the checkpoint, the functions, the library's variants."""
    path, checkpoint = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    save_qat(checkpoint, _features(structure, precision))
    model = load_qat(checkpoint)
    integer = convert_to_integer(model)
    export_onnx(integer, path)
    report = verify_model(path, checkpoint=checkpoint)
    assert report.bit_exact and not report.float_nodes
    outputs = onnx.load(path).graph.output
    assert [output.name for output in outputs] == model.config.backbone.outputs


def test_reconstruction_trains_every_part() -> None:
    """A map that is read on does not make one segment of all that follows."""
    small = MODELS["swin"]
    spec = QuantSpec.preset("w4a4")
    features = convert_to_qat(small.make(), spec, task="features")
    logits = convert_to_qat(small.make(), spec)
    assert len(features.segments()) == len(logits.segments())
    options = Calibration(reconstruction=Reconstruction(steps=2, batch_size=4))
    calibrate(features, images(small.size, 8), options)
    assert all(bool(p.isfinite().all()) for p in features.parameters())


def test_commands_show_all_maps(tmp_path: Path) -> None:
    """``pqv run`` names them, ``pqv eval``'s cosine is of all of them together."""
    path, data = tmp_path / "m.onnx", images(MODELS["vit"].size, 4)
    model = _features("vit")
    export_onnx(convert_to_integer(model), path, input="uint8")
    app(
        ["run", str(path), "--random", "0", "--json", str(tmp_path / "r.json")],
        standalone_mode=False,
    )
    (result,) = json.loads((tmp_path / "r.json").read_text())["results"]
    assert set(result) == {"image", *model.config.backbone.outputs}
    subjects = [
        float_subject("float", MODELS["vit"].make(), task="features"),
        onnx_subject(path, use_library=True),
    ]
    pixels = (data.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1)
    _, found = evaluate(subjects, [(pixels, torch.zeros(4))], labelled=False)
    assert found.agreement is not None and found.agreement.cosine > 0.9


def test_other_runtimes_get_all_maps(tmp_path: Path) -> None:
    model = _features("vit")
    export_standard(model, tmp_path / "q.onnx", "qdq")
    names = [output.name for output in onnx.load(tmp_path / "q.onnx").graph.output]
    assert names == model.config.backbone.outputs


def test_other_tasks_give_one_tensor() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.linear(x), x

    with pytest.raises(PqvError, match="gives 2 tensors, expected one for logits"):
        convert_to_qat(Two(), QuantSpec.preset("w8a8"), size=(3, 8, 8))


def test_models_without_maps_are_refused() -> None:
    with pytest.raises(PqvError, match="the model has no forward_intermediates"):
        convert_to_qat(nn.Linear(8, 8), QuantSpec.preset("w8a8"), task="features")
