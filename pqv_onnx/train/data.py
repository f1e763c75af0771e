"""Images for calibration, training and evaluation, from timm's datasets.

What a training image looks like depends on nothing but the seed, the epoch and the image's
index: not on the number of processes or workers, and not on where a run was resumed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from timm.data import create_dataset
from timm.data.dataset import ImageDataset, IterableImageDataset
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate, get_worker_info

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.images import check_encoded, open_image
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.train.folders import check_classes, open_folder
from pqv_onnx.train.recipe import Augmentation
from pqv_onnx.train.transforms import eval_transform, train_transform

Batch = tuple[Tensor, Tensor]
"""Images and labels: uint8 [B, H, W, C] for evaluation, normalised [B, C, H, W] for training; for
models of images a list of uint8 [H, W, C], if they are not all of one size."""
Factory = Callable[[str | None, str], Dataset[Any]]

ANY_CLASSES = 2**31
"""For models that give no logits, whose images may be of any class."""

_datasets: dict[str, Factory] = {}
_PREFIXES = ("hfds", "hfids", "tfds", "torch", "wds")
"""Of timm's names; it takes any other name for a folder of images."""


def register_dataset(name: str, factory: Factory) -> None:
    """Give a name to a dataset that timm does not know.

    Args:
        name: what ``--dataset`` and recipes call it.
        factory: makes a split from the data's folder (None if none was given) and the split's
            name; items are pairs of a PIL image and a class.
    """
    _datasets[name] = factory


@dataclass(frozen=True)
class Split:
    """A split of a dataset, not yet opened."""

    dataset: str
    root: str | None
    name: str
    workers: int = 0
    _folders: dict[str, Dataset[Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def _prefix(self) -> str:
        return self.dataset.partition("/")[0].lower()

    def open(self, channels: int, training: bool, batch_size: int, seed: int) -> Dataset[Any]:
        """Open the split without a transform; of a folder, the files are looked up once.

        Raises:
            PqvError: it cannot be found or opened, or it is empty.
        """
        mode = "L" if channels == 1 else "RGB"
        if self.dataset not in ("", *_datasets) and self._prefix not in _PREFIXES:
            raise PqvError(
                f"unknown data set {self.dataset!r}, expected one that an import registers, or "
                f"timm's {', '.join(f'{prefix}/...' for prefix in _PREFIXES)}"
            )
        try:
            if self.dataset in _datasets:
                return _datasets[self.dataset](self.root, self.name)
            if not self.dataset:
                if mode not in self._folders:
                    self._folders[mode] = open_folder(self.root, self.name, mode)
                return self._folders[mode]
            found: Dataset[Any] = create_dataset(
                self.dataset,
                self.root,
                self.name,
                is_training=training,
                batch_size=batch_size,
                seed=seed,
                input_img_mode=mode,
            )
        except PqvError:
            raise
        # Readers of many libraries, and each has errors of its own.
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            where = f"{self.dataset or 'folder'} {self.root or ''}".strip()
            raise PqvError(f"split {self.name} of {where} cannot be opened: {text}") from error
        if isinstance(found, IterableImageDataset):
            found.set_loader_cfg(num_workers=self.workers)
        return found


class _Transformed(Dataset[Any]):
    """Items (epoch, index) of a map-style dataset, transformed; an error is an item, too."""

    def __init__(self, source: Any, channels: int, transform: Any, seed: int | None) -> None:
        self.source, self.transform, self.seed = source, transform, seed
        self.mode = "L" if channels == 1 else "RGB"

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | PqvError:
        epoch, index = key
        try:
            pixels, label = self._read(index)
            if self.seed is not None:
                seed_everything(self.seed, epoch, index)
            return self.transform(pixels), label
        except PqvError as error:
            return PqvError(f"{self._name(index)}: {error}")

    def _read(self, index: int) -> tuple[Any, int]:
        try:
            return self._item(index)
        except PqvError:
            raise
        except UnidentifiedImageError as error:  # whose text is about an object of Python
            raise PqvError("not an image that can be read") from error
        # Readers of damaged files raise whatever they stumble over.
        except Exception as error:
            raise PqvError(f"not an image that can be read: {error}") from error

    def _item(self, index: int) -> tuple[Any, int]:
        image, label = self._open(index)
        return image.convert(self.mode), int(label)

    def _open(self, index: int) -> tuple[Image.Image, int]:
        if isinstance(self.source, ImageDataset):
            # timm's own way would replace an image that cannot be read by another one.
            file, label = self.source.reader[index][:2]
            return (file if isinstance(file, Image.Image) else open_image(file)), label
        image, label = self.source[index]
        return image, label

    def _name(self, index: int) -> str:
        name = None
        if isinstance(self.source, ImageDataset):
            name = self.source.filename(index, absolute=True)
        return str(name or f"image {index}")


class _Files(_Transformed):
    """Items of image folders as the bytes of their files, uint8 [N], for models of files."""

    def _item(self, index: int) -> tuple[Any, int]:
        file, label = self.source.reader[index][:2]
        data = np.frombuffer(file.read(), np.uint8)
        check_encoded(data)
        return data, int(label)


class _Stream(IterableDataset[Any]):
    """An iterable dataset, transformed, with random numbers of its own in each epoch."""

    def __init__(self, source: Any, transform: Any, seed: int | None, epoch: int, rank: int):
        self.source, self.transform = source, transform
        self.seed, self.epoch, self.rank = seed, epoch, rank

    def __iter__(self) -> Iterator[tuple[Tensor, int] | PqvError]:
        worker = get_worker_info()
        if self.seed is not None:
            seed_everything(self.seed, self.epoch, self.rank, worker.id if worker else 0)
        try:
            for image, label in self.source:
                yield self.transform(image), int(label)
        except (PqvError, OSError, ValueError, SyntaxError) as error:
            yield PqvError(f"an image of the stream cannot be read: {error}")


def seed_everything(*key: int) -> None:
    """Seed Python's, numpy's and torch's generators with a tuple of numbers."""
    words = _words(3, *key)
    random.seed(words[0])
    np.random.seed(words[1])
    torch.manual_seed(words[2])


def _words(count: int, *key: int) -> list[int]:
    """Random 32-bit numbers that depend on ``key`` alone."""
    return [int(word) for word in np.random.SeedSequence(key).generate_state(count)]


def _shuffled(count: int, *key: int) -> np.ndarray:
    return np.random.default_rng(key).permutation(count)


def _collate(items: Sequence[tuple[Tensor, int] | PqvError]) -> Any:
    errors = [item for item in items if isinstance(item, PqvError)]
    if errors:
        return errors[0]
    images, labels = zip(*items, strict=True)
    if len({image.shape for image in images}) > 1:
        return list(images), torch.tensor(labels)
    return default_collate(list(items))


def _load(dataset: Dataset[Any], workers: int, classes: int, **kwargs: Any) -> Iterator[Batch]:
    """Batches of a loader; bad images and bad labels are raised here, in the main process."""
    if "batch_sampler" in kwargs:  # no process without a batch
        workers = min(workers, len(kwargs["batch_sampler"]))
    if workers and sys.platform == "linux":  # also from Python 3.14 on: others import torch anew
        kwargs["multiprocessing_context"] = "fork"
    loader = DataLoader(dataset, num_workers=workers, collate_fn=_collate, **kwargs)
    try:
        for batch in loader:
            if isinstance(batch, PqvError):
                raise batch
            images, labels = batch
            if int(labels.max()) >= classes or int(labels.min()) < 0:
                found = int(labels.max()) if int(labels.max()) >= classes else int(labels.min())
                raise PqvError(f"found an image of class {found}, the model has {classes} classes")
            yield images, labels
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        # A killed process is told in the first line; one that failed, by its traceback's last.
        lines = str(error).strip().splitlines()
        cause = lines[-1] if lines[0].startswith("Caught") else lines[0]
        raise PqvError(f"a loader process died: {cause}") from error


@dataclass(frozen=True)
class Share:
    """Which part of the work this process has."""

    rank: int = 0
    world: int = 1


def eval_batches(
    split: Split,
    preprocessing: ModelInput,
    classes: int,
    batch_size: int,
    limit: int | None = None,
    seed: int = 0,
    skip: int = 0,
    share: Share = Share(),  # noqa: B008 - frozen
) -> tuple[Iterator[Batch], int]:
    """This process's images of a split, each once.

    Args:
        split: the split.
        preprocessing: size, crop and interpolation; for models of images, these are left out, and
            for models of files the images are the bytes of files.
        classes: of the model.
        batch_size: images of a batch; the last one may have fewer.
        limit: use so many images, chosen at random; of a stream, the first ones.
        seed: of the choice.
        skip: leave out so many images that a smaller ``limit`` would choose.
        share: this process's part.

    Returns:
        Batches of uint8 pixels [B, H, W, C] with labels [B], and how many images they have
        altogether (0 if a stream does not say).

    Raises:
        PqvError: the split cannot be opened, or (without ``limit``) has other classes than the
            model; in the iteration, an image cannot be read or has a class that the model lacks.
    """
    source: Any = split.open(preprocessing.channels, False, batch_size, 0)
    if limit is None:  # all images: their labels count
        check_classes(source, classes)
    transform = eval_transform(preprocessing)
    if preprocessing.input == "encoded":
        _check_files(source)
        transform = torch.tensor
    if isinstance(source, IterableDataset):
        stream = _Stream(source, transform, None, 0, share.rank)
        batches = _load(stream, split.workers, classes, batch_size=batch_size)
        return _first(batches, limit), limit or _size(source)
    order = np.arange(len(source))
    if limit is not None:
        order = _shuffled(len(source), seed)[skip : skip + limit]
    chosen = [int(index) for index in order[share.rank :: share.world]]
    plan = [[(0, i) for i in chosen[s : s + batch_size]] for s in range(0, len(chosen), batch_size)]
    kind = _Files if preprocessing.input == "encoded" else _Transformed
    dataset = kind(source, preprocessing.channels, transform, None)
    return _load(dataset, split.workers, classes, batch_sampler=plan), len(chosen)


def _check_files(source: Any) -> None:
    """Refuse a data set that does not give the bytes of files."""
    if not isinstance(source, ImageDataset) or isinstance(source.reader[0][0], Image.Image):
        raise PqvError("a model of image files (--input encoded) is evaluated on a folder of them")


def _size(source: Any) -> int:
    """Images of a map-style dataset, or of a stream that knows."""
    return len(source)


def _first(batches: Iterator[Batch], limit: int | None) -> Iterator[Batch]:
    left = limit
    for images, labels in batches:
        yield images[:left], labels[:left]
        if left is not None:
            left -= len(labels)
            if left <= 0:
                return


class TrainData:
    """The training images, in pieces of a batch, from any step of any epoch on."""

    def __init__(
        self,
        split: Split,
        preprocessing: ModelInput,
        augmentation: Augmentation,
        classes: int,
        *,
        batch_size: int,
        accumulation: int,
        seed: int,
        share: Share,
    ) -> None:
        """Open the split.

        Args:
            split: the split.
            preprocessing: size, mean and std.
            augmentation: how the images are augmented.
            classes: of the model.
            batch_size: images of an update over all processes.
            accumulation: pieces of each process's part of it.
            seed: of order and augmentation.
            share: this process's part.

        Raises:
            PqvError: the split cannot be opened, has other classes or is smaller than a batch, or
                the batch cannot be cut in equal pieces.
        """
        pieces = accumulation * share.world
        if batch_size % pieces:
            raise PqvError(
                f"train.batch_size is {batch_size}, expected a multiple of {pieces} "
                f"(accumulation {accumulation} x {share.world} processes)"
            )
        self.piece, self.batch_size, self.accumulation = (
            batch_size // pieces,
            batch_size,
            accumulation,
        )
        self.split, self.classes, self.seed, self.share = split, classes, seed, share
        self.channels = preprocessing.channels
        self.transform = train_transform(preprocessing, augmentation)
        self.source = self._open()
        check_classes(self.source, classes)
        self.images = _size(self.source)
        self.steps_per_epoch = self.images // batch_size
        if not self.steps_per_epoch:
            raise PqvError(
                f"found {self.images} training images, "
                f"expected at least train.batch_size, {batch_size}"
            )

    def _open(self) -> Any:
        return self.split.open(self.channels, True, self.piece, self.seed)

    def epoch(self, epoch: int, start: int) -> Iterator[list[Batch]]:
        """The updates of an epoch from the ``start``-th on, each a list of pieces of the batch."""
        pieces = self._pieces(epoch, start)
        for _ in range(start, self.steps_per_epoch):
            update = list(islice(pieces, self.accumulation))
            if len(update) < self.accumulation:
                raise PqvError("the stream of training images ended before its epoch did")
            yield update

    def _pieces(self, epoch: int, start: int) -> Iterator[Batch]:
        if isinstance(self.source, IterableDataset):
            return islice(self._streamed(epoch), start * self.accumulation, None)
        order = _shuffled(len(self.source), self.seed, epoch)
        used = order[start * self.batch_size : self.steps_per_epoch * self.batch_size]
        mine = used.reshape(-1, self.share.world, self.piece)[:, self.share.rank]
        plan = [[(epoch, int(index)) for index in piece] for piece in mine]
        dataset = _Transformed(self.source, self.channels, self.transform, self.seed)
        return _load(dataset, self.split.workers, self.classes, batch_sampler=plan)

    def _streamed(self, epoch: int) -> Iterator[Batch]:
        """This process's pieces of an epoch of a stream, in the reader's order."""
        # A reader's random numbers go on from epoch to epoch, so that a new one is opened for each;
        # in loader processes they begin with what the loader's generator gives.
        source, rank = self._open(), self.share.rank
        source.set_epoch(epoch)
        return _load(
            _Stream(source, self.transform, self.seed, epoch, rank),
            self.split.workers,
            self.classes,
            batch_size=self.piece,
            drop_last=True,
            generator=torch.Generator().manual_seed(_words(1, self.seed, epoch, rank)[0]),
        )
