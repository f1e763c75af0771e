"""Images to calibrate on and to evaluate on have nothing in common."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import striped
from striped import PLAIN

from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import eval_batches
from pqv_onnx.train.parts import Parts, divide


def images(parts: Parts) -> tuple[set[bytes], set[bytes]]:
    """The pixels of both parts."""
    chosen = (
        (parts.calibration, parts.calibration_images, 0),
        (parts.evaluation, parts.evaluation_images, parts.skip),
    )
    found = []
    for split, limit, skip in chosen:
        batches, count = eval_batches(split, PLAIN, 9, 4, limit, 1, skip)
        pixels = [image.numpy().tobytes() for batch, _ in batches for image in batch]
        assert len(pixels) == count == limit
        found.append(set(pixels))
    return found[0], found[1]


def test_splits_that_there_are(folders: Path) -> None:
    parts = divide("", str(folders), 0, calibration=6, evaluation=100)
    assert (parts.calibration_images, parts.evaluation_images, parts.skip) == (6, 16, 0)
    assert (parts.calibration.name, parts.evaluation.name) == ("train", "validation")
    assert parts.classes == ("across", "down") and parts.labelled
    assert not set.intersection(*images(parts))


@pytest.mark.parametrize("missing", ["train", "validation", "both"])
def test_one_folder_is_shared_out(folders: Path, tmp_path: Path, missing: str) -> None:
    root = tmp_path / "data"
    shutil.copytree(folders / "train" if missing == "both" else folders, root)
    if missing != "both":
        shutil.rmtree(root / missing)
    parts = divide("", str(root), 0, calibration=6, evaluation=100)
    assert (parts.calibration_images, parts.evaluation_images, parts.skip) == (6, 10, 6)
    calibration, evaluation = images(parts)
    assert len(calibration) == 6 and len(evaluation) == 10 and not calibration & evaluation
    parts = divide("", str(root), 0, calibration=100, evaluation=3)
    assert (parts.calibration_images, parts.evaluation_images) == (8, 3)


def test_images_without_classes(folders: Path) -> None:
    parts = divide("", str(folders / "train" / "down"), 0, calibration=2, evaluation=2)
    assert not parts.classes and not parts.labelled


def test_too_few(tmp_path: Path) -> None:
    striped.make_folders(tmp_path / "data", images=1)
    with pytest.raises(PqvError, match="or at least two images to share out"):
        divide("", str(tmp_path / "data" / "train" / "down"), 0, 1, 1)
    with pytest.raises(PqvError, match="none: no such folder"):
        divide("", str(tmp_path / "none"), 0, 1, 1)


def test_a_split_that_is_there_but_broken(tmp_path: Path) -> None:
    """It is not passed by, to evaluate on training images."""
    root = striped.make_folders(tmp_path / "data", images=2)
    (root / "validation" / "down").rename(root / "validation" / "below")
    with pytest.raises(PqvError, match="found the class 'below', which"):
        divide("", str(root), 0, 1, 1)
    shutil.rmtree(root / "validation")
    (root / "validation").mkdir()
    with pytest.raises(PqvError, match="has no images of the split validation"):
        divide("", str(root), 0, 1, 1)
