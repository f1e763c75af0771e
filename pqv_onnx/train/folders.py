"""Folders of images by class, read by timm; all splits number the classes as training does."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from timm.data import create_dataset
from timm.data.dataset import ImageDataset
from timm.data.readers.reader_image_folder import ReaderImageFolder

from pqv_onnx.errors import PqvError

_TRAIN = ("train", "training")
_SPLITS = (*_TRAIN, "validation", "val", "valid", "eval", "evaluation")
"""What timm takes for the folder of a split."""


def open_folder(root: str | None, split: str, mode: str) -> ImageDataset:
    """Open a split of image folders.

    timm numbers the classes of the folders that it finds, so that a split without images of one
    class would have other numbers than the training images. Here they are those of the
    training images, where there are any.

    Args:
        root: the folder with the splits, or of the one split that there is; or a tar file.
        split: which.
        mode: of Pillow, that images are converted to.

    Raises:
        PqvError: there is no such folder or split, or it has a class that training lacks.
        RuntimeError: timm finds no images.
    """
    if root is None:
        raise PqvError("image folders need the path of their folder (--data)")
    base = Path(root)
    if not base.exists():
        raise PqvError(f"{base}: no such folder")
    found = create_dataset("", root, split, input_img_mode=mode)
    reader = found.reader
    if not isinstance(reader, ReaderImageFolder):
        return found
    if Path(reader.root) == base:
        # timm takes the whole folder where a split's own is missing: splits would be classes.
        if others := [name for name in _SPLITS if (base / name).is_dir()]:
            raise PqvError(f"{base}: there is no split {split} beside {others[0]}")
        return found
    train = next((base / name for name in _TRAIN if (base / name).is_dir()), None)
    # Listing a million files takes time: once for the names of their folders is enough.
    if train is None or Path(reader.root) == train or _names(train) == set(reader.class_to_idx):
        return found
    classes = create_dataset("", root, "train", input_img_mode=mode).reader.class_to_idx
    if unknown := sorted(set(reader.class_to_idx) - set(classes)):
        raise PqvError(f"{reader.root}: found the class {unknown[0]!r}, which {train} lacks")
    return create_dataset("", root, split, class_map=classes, input_img_mode=mode)


def warn_of_classes(source: object, classes: int) -> None:
    """Warn that folders have more or fewer classes than a model: their numbers may not be its."""
    reader = source.reader if isinstance(source, ImageDataset) else None
    if isinstance(reader, ReaderImageFolder) and len(reader.class_to_idx) != classes:
        warnings.warn(
            f"{reader.root}: found {len(reader.class_to_idx)} classes, the model has {classes}; "
            "accuracies mean something only if the first ones are the same",
            stacklevel=2,
        )


def _names(folder: Path) -> set[str]:
    """The folders inside that are not empty."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir() and any(os.scandir(entry))}
