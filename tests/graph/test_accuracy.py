"""What a file states about its accuracy: written in place, read again, nothing else changed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.graph.accuracy import StatedAccuracy, stated_accuracy, write_accuracy
from pqv_onnx.integer import convert_to_integer

FOUND = StatedAccuracy(98.0769, 364, "digits, validation", "onnxruntime 1.31.1")


@pytest.fixture
def path(tiny_onnx: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_onnx["w4a4"], tmp_path / "m.onnx"))


def without_accuracy(path: Path) -> bytes:
    model = onnx.load(path)
    kept = [entry for entry in model.metadata_props if entry.key != "pqv.accuracy"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model.SerializeToString()


def test_nothing_but_the_entry_changes(path: Path) -> None:
    before = path.read_bytes()
    assert inspect_model(path)["accuracy"] is None
    write_accuracy(path, FOUND)
    first = path.read_bytes()
    assert inspect_model(path)["accuracy"] == FOUND.to_dict()
    assert without_accuracy(path) == before
    write_accuracy(path, replace(FOUND, top1=50.0))
    assert inspect_model(path)["accuracy"]["top1"] == 50.0
    assert without_accuracy(path) == before
    write_accuracy(path, FOUND)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == ["m.onnx"]


def test_a_link_stays_one(path: Path) -> None:
    link = path.parent / "link.onnx"
    link.symlink_to(path)
    write_accuracy(link, FOUND)
    assert link.is_symlink() and inspect_model(path)["accuracy"] == FOUND.to_dict()


def test_the_figure_of_training_is_not_exported(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    integer = convert_to_integer(tiny_qat["w8a8"])
    integer.config = replace(integer.config, accuracy=0.5)
    export_onnx(integer, tmp_path / "m.onnx")
    assert "pqv.accuracy" not in inspect_model(tmp_path / "m.onnx")["metadata"]


def test_files_of_earlier_versions_are_read() -> None:
    assert stated_accuracy({}, "m.onnx") is None
    found = stated_accuracy({"pqv.accuracy": "0.625"}, "m.onnx")
    assert found == StatedAccuracy(62.5)
    assert str(found) == "62.50% in training, not measured in onnxruntime"
    assert str(FOUND) == "98.08% of 364 images (digits, validation; onnxruntime 1.31.1)"
    newer = json.dumps(FOUND.to_dict() | {"top5": 99.0})
    assert stated_accuracy({"pqv.accuracy": newer}, "m.onnx") == FOUND


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("good", "Expecting value"),
        ("", "Expecting value"),
        ("NaN", "top1 is nan, expected 0 to 100"),
        ("1.5", "top1 is 150.0, expected 0 to 100"),
        ("true", "malformed"),
        ("[]", "malformed"),
        ('{"top1": 50.0}', "no 'images'"),
        (json.dumps(FOUND.to_dict() | {"top1": "50"}), "top1 is '50'"),
        (json.dumps(FOUND.to_dict() | {"images": 0}), "images is 0"),
        (json.dumps(FOUND.to_dict() | {"images": 3.5}), "images is 3.5"),
        (json.dumps(FOUND.to_dict() | {"images": None}), "images is None"),
        (json.dumps(FOUND.to_dict() | {"dataset": ""}), "dataset is ''"),
        (json.dumps(FOUND.to_dict() | {"runtime": None}), "runtime is None"),
    ],
)
def test_malformed_entries_are_named(text: str, words: str, path: Path) -> None:
    with pytest.raises(PqvError) as caught:
        stated_accuracy({"pqv.accuracy": text}, "m.onnx")
    assert str(caught.value).startswith("m.onnx: pqv.accuracy is malformed: ")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_written_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    with pytest.raises(PqvError, match="there is no such file"):
        write_accuracy(path.parent / "none.onnx", FOUND)
    with pytest.raises(PqvError, match="images is 0, expected a number of images"):
        replace(FOUND, images=0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PqvError, match="No space left"):
        write_accuracy(path, FOUND)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["m.onnx"]
