"""One command from a model's name and images to a folder."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

import pqv_onnx  # noqa: E402
from pqv_onnx.checkpoint import load_qat  # noqa: E402
from pqv_onnx.errors import PqvError  # noqa: E402
from pqv_onnx.graph.load import load_model, metadata  # noqa: E402
from pqv_onnx.qat import convert_to_qat  # noqa: E402
from pqv_onnx.spec import QuantSpec  # noqa: E402
from pqv_onnx.train.evaluate import Accuracy  # noqa: E402
from pqv_onnx.workflow import quantize as workflow  # noqa: E402
from pqv_onnx.workflow.measure import describe_weights  # noqa: E402
from pqv_onnx.workflow.options import LADDER, Options  # noqa: E402
from tests.cli.conftest import Pqv, pqv  # noqa: E402, F401

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

import striped  # noqa: E402

NAMES = ("across", "down", "slanted")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen images in three folders, without splits; do not change them."""
    made = striped.make_folders(tmp_path_factory.mktemp("made"), images=6)
    root = tmp_path_factory.mktemp("data") / "photos"
    for name in NAMES:
        shutil.copytree(made / "train" / name.replace("slanted", "down"), root / name)
    return root


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_name_and_photos_become_a_folder(
    pqv: Pqv,  # noqa: F811
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out, result = tmp_path / "out", tmp_path / "r.json"
    done = pqv(
        *("quantize", striped.NAME, "--import", "striped", "--random-weights", 0),
        *("--num-classes", 3, "--data", photos, "--precision", "w8a8", "--quick"),
        *("--input", "image", "--top-k", 2, "--images", 6, "-o", out, "--json", result),
    )
    assert done.code == 0, done.err
    assert files(tmp_path) == {"out", "r.json"}
    assert files(out) == {"model.onnx", "model.safetensors", "report.json", "README.md", "sqnr.png"}
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads(result.read_text())
    assert report["data"]["calibration_images"] == 6 and report["quantized"]["images"] == 12
    assert report["data"]["classes"] == list(NAMES) and report["verification"]["bit_exact"]
    assert set(report["latency_ms"]) == set(report["memory_bytes"]) == {"float", "quantized"}
    assert report["stated"]["top1"] == report["quantized"]["top1"]
    # The noise behind the head is that of the logits, on the same images.
    sqnr = report["quantized"]["agreement"]["sqnr"]
    assert report["sqnr"]["head"] == pytest.approx(sqnr, abs=1)

    shutil.copy(photos / "down" / "0.png", out / "photo.jpg")
    shown = pqv("run", out / "model.onnx", out / "photo.jpg").out
    assert all(name in shown for name in NAMES) and "states top-1" in shown
    card = (out / "README.md").read_text()
    assert "an image of any size" in card and "probabilities and classes of the 2 best" in card
    assert report["weights"]["sha256"] in card and "12 images held out of the data" in card
    monkeypatch.chdir(out)
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    exec(code, {})
    printed = capfd.readouterr().out
    assert all(f"'label': '{name}'" in printed for name in NAMES)


def test_a_run_that_was_stopped_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = Options(
        data=photos, random_weights=0, num_classes=3, precision="mixed", images=6, quick=True
    )

    def stop(*_: Any) -> dict[str, Any]:
        raise PqvError("stopped")

    measure = workflow.measure
    monkeypatch.setattr(workflow, "measure", stop)
    with pytest.raises(PqvError, match="stopped"):
        workflow.quantize(striped.NAME, out, options)
    assert files(tmp_path) == {"out.part"}
    bits = load_qat(tmp_path / "out.part" / "mixed.safetensors").config.spec.weight_bits
    assert set(bits.values()) == {4}  # those that differ from 8

    monkeypatch.setattr(workflow, "measure", measure)
    monkeypatch.setattr(workflow, "_calibrate", stop)
    with pytest.raises(PqvError, match="stopped"):  # of another seed nothing is taken
        workflow.quantize(striped.NAME, out, replace(options, seed=1))
    monkeypatch.undo()
    workflow.quantize(striped.NAME, out, options)
    monkeypatch.setattr(workflow, "_calibrate", stop)
    assert files(tmp_path) == {"out"}
    with pytest.raises(PqvError, match="is there already and not empty"):
        workflow.quantize(striped.NAME, out, options)


def test_what_a_calibration_depends_on(photos: Path, tmp_path: Path) -> None:
    data, names = tmp_path / "photos", tmp_path / "names.txt"
    shutil.copytree(photos, data)
    names.write_text("a\nb\nc\n")

    def key(**changes: Any) -> str:
        given = {"random_weights": 0, "num_classes": 3, "images": 6, "labels": names, **changes}
        start = workflow._start(striped.NAME, Options(data=data, **given))
        return start.options.key(*start.parts.calibrated_on)

    first = key()
    assert key(workers=2, evaluation_images=3) == first  # it does not
    assert key(images=5) != first
    names.write_text("a\nb\nd\n")
    second = key()
    assert second != first
    shutil.copy(data / "across" / "0.png", data / "down" / "0.png")
    assert key() != second


def test_the_head_of_a_checkpoint_is_not_new(photos: Path, tmp_path: Path) -> None:
    options = Options(data=photos, random_weights=0, num_classes=3)
    model = options.source.load(striped.NAME)
    found = describe_weights(model, options, convert_to_qat(model, QuantSpec.preset("w8a8")))
    assert not found["new_head"] and not found["random"]


def test_an_embedding_of_photos_without_classes(photos: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    flat = photos / "down"
    given = {"random_weights": 0, "task": "embedding", "image_size": (24, 40)}
    report = pqv_onnx.quantize(striped.NAME, first, data=flat, quick=True, images=3, **given)
    assert report["quantized"]["top1"] is None and not report["data"]["labelled"]
    assert report["quantized"]["agreement"]["cosine"] > 0.9
    entries = metadata(load_model(first / "model.onnx"))
    assert (entries["pqv.task"], entries["pqv.input_size"]) == ("embedding", "[3, 24, 40]")
    # From its checkpoint: the float model is not known.
    again = pqv_onnx.quantize(first / "model.safetensors", second, data=flat, input="float")
    assert again["float"] is None and again["quantized"]["agreement"] is None
    assert again["task"] == "embedding" and "sqnr.png" not in files(second)
    for changes, reason in (
        ({"max_drop": 1.0}, "has a precision"),
        ({"quick": True}, "is calibrated and has a task: leave out --quick, --steps, --task"),
        ({"task": "tokens"}, "is calibrated and has a task"),
        ({"num_classes": 9}, "has a head and a size: leave out --num-classes and --image-size"),
    ):
        with pytest.raises(PqvError, match=reason):
            pqv_onnx.quantize(first / "model.safetensors", tmp_path / "x", data=flat, **changes)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is tried, of precisions that lose 9, 4, 2 and 0.5 points."""
    names: list[str] = []

    def attempt(_start: Any, precision: str, folder: Path, _progress: Any) -> Any:
        names.append(precision)
        accuracy = Accuracy(precision, "onnx, library", 0.0, 0.0, 1)
        drop = dict(zip(LADDER, (9.0, 4.0, 2.0, 1.5, 0.5), strict=True))[precision]
        return workflow.Candidate(precision, folder / precision, accuracy, accuracy, 1, drop)

    monkeypatch.setattr(workflow, "_try", attempt)
    return names


@pytest.mark.parametrize(
    ("drop", "chosen"), [(9.0, "w4a4"), (2.5, "mixed"), (1.5, "w7a7"), (0.5, "w8a8")]
)
def test_the_cheapest_that_holds(
    tried: list[str], photos: Path, tmp_path: Path, drop: float, chosen: str
) -> None:
    options = Options(data=photos, random_weights=0, num_classes=3, max_drop=drop)
    start = workflow._start(striped.NAME, options)
    shown: list[Any] = []
    found = workflow._choose(start, tmp_path, lambda *_: None, shown.append)
    assert found == shown and found[-1].precision == chosen
    assert tried == list(LADDER[: LADDER.index(chosen) + 1])


def test_nothing_holds(tried: list[str], photos: Path, tmp_path: Path) -> None:
    options = Options(data=photos, random_weights=0, num_classes=3, max_drop=0.1)
    with pytest.raises(PqvError, match="no precision loses 0.1 points at most: .*w8a8, loses 0.50"):
        workflow.quantize(striped.NAME, tmp_path / "out", options)
    assert len(tried) == 5 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "found 3 classes .across, down, slanted., the model has 2; --num-classes 3 of"),
        ({"random_weights": None}, "give --weights, --random-weights or --pretrained"),
        ({"data": None}, "--data"),
        ({"max_drop": 101.0}, "expected 0 to 100"),
        ({"max_drop": 1.0, "precision": "w8a8"}, "expected one of them"),
        ({"precision": "w2a2"}, "expected w4a4, w4a8, mixed, w7a7, w8a8"),
        ({"precision": "mixed", "task": "tokens"}, "mixed need logits"),
        ({"precision": "mixed", "num_classes": 0}, "mixed need logits, the model gives embedding"),
        ({"pretrained": True}, "give one of --weights, --random-weights and --pretrained"),
        ({"random_weights": -1}, "random_weights is -1, expected a whole number from 0 on"),
        ({"evaluation_images": 0}, "evaluation_images is 0, expected a whole number from 1 on"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"steps": 0}, "steps is 0"),
        ({"image_size": 32}, "image_size is 32, expected .height, width."),
        ({"image_size": ("32", 32)}, "a side of image_size is '32'"),
        ({"max_drop": "1"}, "the largest drop is '1', expected 0 to 100"),
        ({"num_classes": 3, "top_k": 4}, "the best 4 classes were asked for, the model has 3"),
    ],
)
def test_what_is_refused_before_any_work(
    photos: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    given = {"data": photos, "random_weights": 0, **changes}
    with pytest.raises(PqvError, match=reason):
        pqv_onnx.quantize(striped.NAME, tmp_path / "out", **given)
    assert not files(tmp_path)


def test_files_as_strings(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"weights")
    assert describe_weights(None, Options(weights=str(file)), None)["source"] == "w.safetensors"


def test_a_name_that_is_nearly_right(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match=f"unknown timm model .*, did you mean .*{striped.NAME}"):
        pqv_onnx.quantize(striped.NAME[:-1], tmp_path / "out", data=photos, random_weights=0)
    for name in ("m.onnx", "M.ONNX"):
        with pytest.raises(PqvError, match="cannot be quantized again: give timm's name, and --w"):
            pqv_onnx.quantize(tmp_path / name, tmp_path / "out", data=photos)
    with pytest.raises(PqvError, match="none.safetensors: there is no such file"):
        pqv_onnx.quantize(tmp_path / "none.safetensors", tmp_path / "out", data=photos)


def test_a_model_that_cannot_be_converted_is_told_before_its_classes(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(PqvError, match="resnet18: bn1: batch_norm is not supported; `pqv models`"):
        pqv_onnx.quantize("resnet18", tmp_path / "out", data=photos, random_weights=0)


def test_labels_that_do_not_fit_are_refused_before_any_work(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    options = Options(data=photos, random_weights=0, num_classes=3, labels=tmp_path / "labels.txt")
    with pytest.raises(PqvError, match="found 2 labels, the model has 3 classes"):
        workflow.quantize(striped.NAME, tmp_path / "out", options)
    assert files(tmp_path) == {"labels.txt"}
