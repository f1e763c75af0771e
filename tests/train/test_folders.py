"""Image folders whose splits do not have the same classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import striped
from PIL import Image

from pqv_onnx.errors import PqvError
from pqv_onnx.train.folders import check_classes, folder_labels, open_folder


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
    """They are not taken for training images."""
    shutil.rmtree(root / "train")
    with pytest.raises(PqvError, match="no split train beside validation"):
        open_folder(str(root), "train", "RGB")
    found = open_folder(str(root), "validation", "RGB")
    check_classes(found, 2)


def test_as_many_folders_as_classes(root: Path) -> None:
    found = open_folder(str(root), "train", "RGB")
    with pytest.raises(PqvError, match=r"train: found 2 classes \(across, down\), the model"):
        check_classes(found, 3)
    for number in range(6):
        shutil.copytree(root / "train" / "down", root / "train" / f"x{number}")
    with pytest.raises(PqvError, match=r"8 classes \(across, .*, \.\.\.\).*--num-classes 8 of"):
        check_classes(open_folder(str(root), "train", "RGB"), 1000)


def test_images_without_folders_are_of_no_class(root: Path) -> None:
    found = open_folder(str(root / "train" / "across"), "train", "RGB")
    check_classes(found, 1000)
    assert folder_labels(found, 1) is None


def test_folders_name_the_classes(root: Path) -> None:
    found = open_folder(str(root), "train", "RGB")
    assert folder_labels(found, 2) == ("across", "down")
    assert folder_labels(found, 3) is None
    for old, synset in (("across", "n01440764"), ("down", "n01443537")):
        (root / "train" / old).rename(root / "train" / synset)
    names = folder_labels(open_folder(str(root), "train", "RGB"), 2)
    assert names == ("tench, Tinca tinca", "goldfish, Carassius auratus")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="--data"):
        open_folder(None, "train", "RGB")
    with pytest.raises(PqvError, match="none: no such folder"):
        open_folder(str(tmp_path / "none"), "train", "RGB")
    with pytest.raises(PqvError, match=f"{tmp_path}: has no images$"):
        open_folder(str(tmp_path), "train", "RGB")
    (tmp_path / "validation").mkdir()
    with pytest.raises(PqvError, match="has no images of the split validation"):
        open_folder(str(tmp_path), "validation", "RGB")
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(PqvError, match=r"cat\.jpg: is a file, not a folder"):
        open_folder(str(tmp_path / "cat.jpg"), "train", "RGB")


@pytest.mark.parametrize("target", [".", "train", "validation"])
def test_links_of_folders(target: str, root: Path) -> None:
    """One to another folder is followed; one that leads back would never end."""
    (root / "train" / "more").symlink_to(root / target)
    if target == "validation":
        assert open_folder(str(root), "train", "RGB").reader
        return
    with pytest.raises(PqvError, match="more: is a link that leads back to a folder"):
        open_folder(str(root), "train", "RGB")


@pytest.mark.parametrize("ending", ["webp", "bmp", "TIF", "jp2"])
def test_files_that_pillow_reads_are_found(ending: str, root: Path) -> None:
    file = root / "train" / "down" / "0.png"
    Image.open(file).save(file.with_suffix(f".{ending}"))
    file.unlink()
    assert len(open_folder(str(root), "train", "RGB")) == 4


def test_a_class_that_is_called_like_a_split(root: Path) -> None:
    """Trains and buses are no training images beside others."""
    vehicles = root / "validation"
    (vehicles / "down").rename(vehicles / "train")
    with pytest.raises(PqvError, match="train: is it a split or a class.* across with images is"):
        open_folder(str(vehicles), "train", "RGB")
    (vehicles / "across").rename(vehicles / "test")
    assert len(open_folder(str(vehicles), "train", "RGB")) == 2


def test_images_outside_of_the_folders_of_classes(root: Path) -> None:
    shutil.copy(root / "train" / "down" / "0.png", root / "train")
    with pytest.raises(PqvError, match="train: has images that lie outside of the classes' folder"):
        check_classes(open_folder(str(root), "train", "RGB"), 3)
    assert folder_labels(open_folder(str(root), "train", "RGB"), 3) is None
