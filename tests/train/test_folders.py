"""Image folders whose splits do not have the same classes."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import striped

from pqv_onnx.errors import PqvError
from pqv_onnx.train.folders import open_folder, warn_of_classes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return striped.make_folders(tmp_path / "data", images=2)


def classes(root: Path, split: str) -> set[int]:
    return {label for _, label in open_folder(str(root), split, "RGB").reader}


def test_classes_have_the_numbers_of_training(root: Path) -> None:
    assert classes(root, "validation") == {0, 1}
    shutil.rmtree(root / "validation" / "across")
    assert classes(root, "validation") == {1}
    for file in (root / "train" / "across").iterdir():
        file.unlink()
    assert classes(root, "train") == classes(root, "validation") == {0}


def test_a_class_that_training_lacks_is_named(root: Path) -> None:
    (root / "validation" / "down").rename(root / "validation" / "below")
    with pytest.raises(PqvError, match="found the class 'below', which .*train lacks"):
        open_folder(str(root), "validation", "RGB")


def test_validation_images_alone(root: Path) -> None:
    """They are not taken for training images; what they lack is warned of."""
    shutil.rmtree(root / "train")
    with pytest.raises(PqvError, match="no split train beside validation"):
        open_folder(str(root), "train", "RGB")
    found = open_folder(str(root), "validation", "RGB")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_classes(found, 2)
    with pytest.warns(UserWarning, match="found 2 classes, the model has 3"):
        warn_of_classes(found, 3)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="--data"):
        open_folder(None, "train", "RGB")
    with pytest.raises(PqvError, match="none: no such folder"):
        open_folder(str(tmp_path / "none"), "train", "RGB")
