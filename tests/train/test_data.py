from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import striped
import torch
from PIL import Image
from striped import PLAIN
from torch.utils.data import DataLoader, IterableDataset

from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import (
    Share,
    Split,
    TrainData,
    eval_batches,
    register_dataset,
)
from pqv_onnx.train.recipe import Augmentation

ALONE = Share()


def train_data(root: Path, share: Share = ALONE, **changes: Any) -> TrainData:
    split = Split(changes.pop("dataset", ""), str(root), "train", changes.pop("workers", 0))
    augmentation = Augmentation(auto_augment="rand-m9-mstd0.5-inc1", random_erasing=0.25)
    options = {"batch_size": 8, "accumulation": 2, "seed": 0, **changes}
    return TrainData(split, PLAIN, augmentation, 2, share=share, **options)


def test_every_image_is_evaluated_once_however_many_share(folders: Path) -> None:
    split = Split("", str(folders), "validation")
    parts = []
    for rank in range(3):
        batches, count = eval_batches(split, PLAIN, 2, 4, share=Share(rank, 3))
        found = list(batches)
        assert sum(len(labels) for _, labels in found) == count
        parts += [image for pixels, _ in found for image in pixels]
    assert len(parts) == 16
    assert len({image.numpy().tobytes() for image in parts}) == 16


def test_the_files_of_a_folder_are_looked_up_once(folders: Path) -> None:
    split = Split("", str(folders), "train")
    source = split.open(3, False, 1, 0)
    assert split.open(3, True, 8, 1) is source
    assert split.open(1, False, 1, 0) is not source  # grey images
    assert Split("", str(folders), "train").open(3, False, 1, 0) is not source
    assert split == Split("", str(folders), "train")


def test_a_limit_takes_images_of_all_classes(folders: Path) -> None:
    split = Split("", str(folders), "train")
    batches, count = eval_batches(split, PLAIN, 2, 4, limit=6, seed=1)
    labels = torch.cat([labels for _, labels in batches])
    assert count == len(labels) == 6
    assert set(labels.tolist()) == {0, 1}
    rest, count = eval_batches(split, PLAIN, 2, 4, limit=16, seed=1, skip=6)
    assert count == sum(len(labels) for _, labels in rest) == 10


def test_processes_share_the_pieces_of_a_batch(folders: Path) -> None:
    """Two processes with one piece each train on what one process has in two pieces."""
    alone = list(train_data(folders).epoch(1, 0))
    shares = [Share(rank, 2) for rank in range(2)]
    pairs = zip(
        *(train_data(folders, share, accumulation=1).epoch(1, 0) for share in shares), strict=True
    )
    together = [list(chain(*pair)) for pair in pairs]
    assert len(alone) == len(together) == 2
    for a, b in zip(chain(*alone), chain(*together), strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_epochs_differ_and_can_be_entered_in_the_middle(folders: Path) -> None:
    data = train_data(folders)
    first, again, second = (list(chain(*data.epoch(e, 0))) for e in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], second[0][0])
    rest = list(chain(*data.epoch(0, 1)))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first[2:], rest, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named(workers: int, tmp_path: Path) -> None:
    root = striped.make_folders(tmp_path / "data", images=4)
    bad = root / "train" / "down" / "2.png"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(PqvError, match=f"{bad}: not an image that can be read"):
        list(train_data(root, workers=workers).epoch(0, 0))
    bad.write_bytes(b"")
    with pytest.raises(PqvError, match=f"{bad}: not an image that can be read$"):
        list(train_data(root, workers=workers).epoch(0, 0))


def test_no_more_processes_than_batches(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def loader(dataset: Any, num_workers: int, **kwargs: Any) -> DataLoader:
        asked.append(num_workers)
        kwargs.pop("multiprocessing_context", None)  # there is none without workers
        return DataLoader(dataset, num_workers=0, **kwargs)

    monkeypatch.setattr("pqv_onnx.train.data.DataLoader", loader)
    batches, images = eval_batches(Split("", str(folders), "validation", 1000), PLAIN, 2, 16)
    assert len(list(batches)) * 16 >= images
    assert asked == [-(-images // 16)]


def test_a_class_that_the_model_lacks_is_named(folders: Path) -> None:
    split = Split("", str(folders), "validation")
    with pytest.raises(PqvError, match="found 2 classes .across, down., the model has 1"):
        eval_batches(split, PLAIN, 1, 16)
    batches, _ = eval_batches(split, PLAIN, 1, 16, limit=16)  # whose labels may not count
    with pytest.raises(PqvError, match="class 1, the model has 1 classes"):
        list(batches)


def test_folders_that_are_not_there(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="no split test beside train"):
        eval_batches(Split("", str(folders), "test"), PLAIN, 2, 4)
    with pytest.raises(PqvError, match="no such folder"):
        eval_batches(Split("", str(tmp_path / "none"), "train"), PLAIN, 2, 4)
    with pytest.raises(PqvError, match="unknown data set 'digitz', expected one that an import"):
        eval_batches(Split("digitz", str(folders), "validation"), PLAIN, 2, 4)


class Stream(IterableDataset[Any]):
    """As timm's readers of streams are: images come in an order of their own."""

    def __init__(self, images: int) -> None:
        self.images, self.start = images, 0

    def __len__(self) -> int:
        return 16

    def set_epoch(self, epoch: int) -> None:
        self.start = 100 * epoch

    def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
        for index in range(self.images):
            yield Image.new("RGB", (40, 40), (self.start + index, 0, 0)), index % 2


def test_streams(tmp_path: Path) -> None:
    register_dataset("stream", lambda root, split: Stream(16))
    data = train_data(tmp_path, dataset="stream")
    first, again, second = (list(chain(*data.epoch(e, 0))) for e in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], second[0][0])
    batches, count = eval_batches(Split("stream", None, "validation"), PLAIN, 2, 5, limit=7)
    assert count == 7
    assert [len(labels) for _, labels in batches] == [5, 2]


def test_a_stream_that_is_too_short(tmp_path: Path) -> None:
    register_dataset("short", lambda root, split: Stream(10))
    with pytest.raises(PqvError, match="stream of training images ended"):
        list(train_data(tmp_path, dataset="short").epoch(0, 0))


class Failing(Stream):
    def __iter__(self) -> Iterator[tuple[Image.Image, int]]:
        raise RuntimeError("fewer shards than workers")


def test_a_loader_process_that_fails_says_why(tmp_path: Path) -> None:
    register_dataset("failing", lambda root, split: Failing(16))
    with pytest.raises(PqvError, match="process died: RuntimeError: fewer shards than workers$"):
        list(train_data(tmp_path, dataset="failing", workers=1).epoch(0, 0))
