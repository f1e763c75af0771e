"""Folders of images by class, read by timm; all splits number the classes as training does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from timm.data import ImageNetInfo, add_img_extensions, create_dataset
from timm.data.dataset import ImageDataset
from timm.data.readers.reader_image_folder import ReaderImageFolder
from timm.data.readers.reader_image_in_tar import ReaderImageInTar
from timm.data.readers.reader_wds import ReaderWds

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.images import image_endings

# Of folders and of tar files, timm reads those in JPEG and PNG only.
add_img_extensions(image_endings())

_TRAIN = ("train", "training")
_SPLITS = (*_TRAIN, "validation", "val", "valid", "eval", "evaluation")
"""What timm takes for the folder of a split."""
_OTHER_SPLITS = ("test", "testing")
_SHOWN = 5


FileState = tuple[str, int, int] | str
"""A file's name, its bytes and when it was changed, in ns; its name only if that is not known."""


class NoSplitError(PqvError):
    """There are folders of splits, and not of the one that was asked for."""


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
        NoSplitError: there is no such split, but another.
        PqvError: there is no such folder, it has no images, a link that leads back into it, or a
            class that training lacks, or may be a class itself.
    """
    if root is None:
        raise PqvError("image folders need the path of their folder (--data)")
    base = Path(root)
    if not base.exists():
        raise PqvError(f"{base}: no such folder")
    if base.suffix != ".tar" and not base.is_dir():
        raise PqvError(f"{base}: is a file, not a folder of images")
    if base.is_dir():
        _check_links(root)
    splits = [name for name in _SPLITS if (base / name).is_dir()]
    try:
        found = create_dataset("", root, split, input_img_mode=mode)
    except RuntimeError as error:
        of_split = f" of the split {split}" if splits else ""
        raise PqvError(f"{base}: has no images{of_split}") from error
    reader = found.reader
    if not isinstance(reader, ReaderImageFolder):
        return found
    if Path(reader.root) == base:
        # timm takes the whole folder where a split's own is missing: splits would be classes.
        if splits:
            raise NoSplitError(f"{base}: there is no split {split} beside {splits[0]}")
        return found
    _check_split(Path(reader.root), reader)
    train = next((base / name for name in _TRAIN if (base / name).is_dir()), None)
    # Listing a million files takes time: once for the names of their folders is enough.
    if train is None or Path(reader.root) == train or _names(train) == set(reader.class_to_idx):
        return found
    classes = create_dataset("", root, "train", input_img_mode=mode).reader.class_to_idx
    if unknown := sorted(set(reader.class_to_idx) - set(classes)):
        raise PqvError(f"{reader.root}: found the class {unknown[0]!r}, which {train} lacks")
    return create_dataset("", root, split, class_map=classes, input_img_mode=mode)


def _check_split(folder: Path, reader: ReaderImageFolder) -> None:
    """Refuse a split without classes that has classes beside it: it may be one of them."""
    if set(reader.class_to_idx) != {""}:
        return
    endings = image_endings()
    for other in sorted(_names(folder.parent) - {*_SPLITS, *_OTHER_SPLITS}):
        if any(file.suffix.lower() in endings for file in (folder.parent / other).iterdir()):
            raise PqvError(
                f"{folder}: is it a split or a class? It has no folders of classes, but {other} "
                "with images is beside it: rename it, or move the classes into a folder train"
            )


def _check_links(folder: str, above: frozenset[tuple[int, int]] = frozenset()) -> None:
    """Refuse links that lead back to where they are: timm follows them, and would never end."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as entries:
            inner = [entry.path for entry in entries if entry.is_dir()]
    except OSError:  # timm passes by what cannot be read
        return
    own = status.st_dev, status.st_ino
    if own in above:
        raise PqvError(f"{folder}: is a link that leads back to a folder which it is in")
    for path in inner:
        _check_links(path, above | {own})


def class_names(source: object) -> tuple[str, ...]:
    """Names of the folders of a data set's classes in the classes' order.

    There are none if it is not made of folders, or if its images lie in one without classes.
    """
    numbers: dict[str, int] = getattr(_reader(source), "class_to_idx", None) or {}
    return () if set(numbers) <= {""} else tuple(sorted(numbers, key=numbers.__getitem__))


def file_states(source: object) -> list[FileState]:
    """The files of a data set: images, tar files, or the cache of a hub; of other kinds none."""
    return [_state(name) for name in _files(getattr(source, "reader", None))]


def _files(reader: Any) -> list[str]:
    if isinstance(reader, ReaderImageFolder):
        return [name for name, _ in reader.samples]
    if cache := getattr(getattr(reader, "dataset", None), "cache_files", None):
        return [file["filename"] for file in cache]
    if isinstance(reader, ReaderWds):
        return [os.path.join(reader.root, name) for name in reader.split_info.filenames]
    return [reader.root] if isinstance(reader, ReaderImageInTar) else []


def _state(name: str) -> FileState:
    try:
        found = os.stat(name)
    except OSError:  # it is told when the image is read
        return name
    return name, found.st_size, found.st_mtime_ns


def check_classes(source: object, classes: int) -> None:
    """Refuse folders that are more or fewer than a model's classes: their numbers are not its.

    Raises:
        PqvError: there are folders of classes, and not as many as the model has.
    """
    check_names(class_names(source), classes, getattr(_reader(source), "root", "the data"))


def check_names(names: tuple[str, ...], classes: int, root: object) -> None:
    """Refuse names of folders in ``root``, if there are any, that are not as many as classes.

    Raises:
        PqvError: they are not, or there are images that lie in none of the folders.
    """
    if "" in names:
        raise PqvError(f"{root}: has images that lie outside of the classes' folders")
    if names and len(names) != classes:
        shown = ", ".join(names[:_SHOWN])
        more = ", ..." if len(names) > _SHOWN else ""
        raise PqvError(
            f"{root}: found {len(names)} classes ({shown}{more}), the model has {classes}; "
            f"--num-classes {len(names)} of pqv train and pqv quantize makes a new head for them"
        )


def folder_labels(source: object, classes: int) -> tuple[str, ...] | None:
    """The names of a data set's folders, if there is one for each of a model's classes.

    ImageNet's folders have the numbers of synsets; they get timm's names instead.
    """
    names = class_names(source)
    if not names or "" in names or len(names) != classes:
        return None
    imagenet = ImageNetInfo()
    if set(names) <= set(imagenet.label_names()):
        return tuple(imagenet.label_name_to_description(name) for name in names)
    return names


def _reader(source: object) -> object:
    return source.reader if isinstance(source, ImageDataset) else None


def _names(folder: Path) -> set[str]:
    """The folders inside that are not empty."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir() and any(os.scandir(entry))}
