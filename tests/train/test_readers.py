"""Data sets of other libraries give the images and labels that folders of the same images give."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from striped import PLAIN

from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import Share, Split, TrainData, eval_batches
from pqv_onnx.train.folders import file_states
from pqv_onnx.train.recipe import Augmentation

SHARDS = "train-{0000..0001}.tar|16"


def training_files(folders: Path) -> list[tuple[bytes, int]]:
    """The encoded training images and their classes, in the order of `striped.make_folders`."""
    classes = sorted(path.name for path in (folders / "train").iterdir())
    return [
        (file.read_bytes(), label)
        for label, name in enumerate(classes)
        for file in sorted((folders / "train" / name).iterdir())
    ]


@pytest.fixture(scope="module")
def parquet(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face dataset in a folder; the last image of ``validation`` is cut off."""
    datasets = pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("parquet")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["across", "down"])}
    )
    files = training_files(folders)
    for split, cut in (("train", None), ("validation", 100)):
        pixels = [data for data, _ in files[:-1]] + [files[-1][0][:cut]]
        rows = {
            "image": [{"bytes": data, "path": None} for data in pixels],
            "label": [label for _, label in files],
        }
        found = datasets.Dataset.from_dict(rows, features=features)
        found.to_parquet(root / f"{split}-00000-of-00001.parquet")
    return root


@pytest.fixture(scope="module")
def shards(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WebDataset of two shards."""
    pytest.importorskip("webdataset")
    root = tmp_path_factory.mktemp("shards")
    files = training_files(folders)
    for shard in range(2):
        with tarfile.open(root / f"train-{shard:04d}.tar", "w") as tar:
            for index in range(shard, len(files), 2):
                data, label = files[index]
                for name, content in (("png", data), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{index:04d}.{name}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return root


def evaluated(split: Split) -> list[tuple[bytes, int]]:
    batches, _ = eval_batches(split, PLAIN, 2, 5)
    return [
        (image.numpy().tobytes(), int(label))
        for images, labels in batches
        for image, label in zip(images, labels, strict=True)
    ]


def train_data(split: Split) -> TrainData:
    options = {"batch_size": 8, "accumulation": 2, "seed": 0, "share": Share()}
    return TrainData(split, PLAIN, Augmentation(), 2, **options)


def test_hugging_face_datasets(parquet: Path, folders: Path, tmp_path: Path) -> None:
    split = Split(f"hfds/{parquet}", str(tmp_path), "train")
    assert evaluated(split) == evaluated(Split("", str(folders), "train"))
    ours, theirs = (
        chain(*train_data(each).epoch(1, 0)) for each in (split, Split("", str(folders), "train"))
    )
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_a_broken_image_of_a_hugging_face_dataset(parquet: Path, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="image 15: not an image that can be read"):
        evaluated(Split(f"hfds/{parquet}", str(tmp_path), "validation"))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_webdataset(workers: int, shards: Path, folders: Path) -> None:
    split = Split("wds/stripes", str(shards), SHARDS, workers)
    assert sorted(evaluated(split)) == sorted(evaluated(Split("", str(folders), "train")))
    data = train_data(split)
    first, second, again = (list(chain(*data.epoch(number, 0))) for number in (0, 1, 0))
    resumed = list(chain(*train_data(split).epoch(1, 1)))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(second[2:], resumed, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    # Which images an epoch has is up to the reader, which may give each worker its own share.
    assert sum(len(labels) for _, labels in first) == 16


@pytest.mark.parametrize("kind", ["hfds", "wds", "tar"])
def test_files_that_changed_are_noticed(
    kind: str, parquet: Path, shards: Path, folders: Path, tmp_path: Path
) -> None:
    tar = tmp_path / "all.tar"
    with tarfile.open(tar, "w") as file:
        file.add(folders / "train", "")
    (shards / "val-0000.tar").touch()  # of another split
    split = {
        "hfds": Split(f"hfds/{parquet}", str(tmp_path), "train"),
        "wds": Split("wds/stripes", str(shards), SHARDS),
        "tar": Split("", str(tar), "train"),
    }[kind]
    states = file_states(split.open(3, False, 1, 0))
    assert len(states) == (2 if kind == "wds" else 1)
    assert states == file_states(replace(split).open(3, False, 1, 0))
    os.utime(states[0][0], ns=(0, 0))
    assert states != file_states(replace(split).open(3, False, 1, 0))


def test_splits_that_are_not_there(parquet: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="split test of hfds/.* cannot be opened: Unknown split"):
        evaluated(Split(f"hfds/{parquet}", str(tmp_path), "test"))
    with pytest.raises(PqvError, match="cannot be opened: .*num_samples not specified"):
        train_data(Split("wds/stripes", str(shards), "train-0000.tar"))
