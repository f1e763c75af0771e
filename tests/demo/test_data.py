from __future__ import annotations

import pytest
import torch

from pqv_onnx.demo import data


@pytest.fixture(scope="module")
def splits() -> tuple[data.Split, data.Split]:
    return data.load_split()


def test_split_is_fixed_and_disjoint(splits: tuple[data.Split, data.Split]) -> None:
    train, test = splits
    assert (len(train), len(test)) == (1433, 364)
    assert train.images.shape[1:] == test.images.shape[1:] == (1, 32, 32)
    assert test.labels[:10].tolist() == list(range(10))
    per_digit = torch.bincount(test.labels)
    assert per_digit.min() >= 35
    assert per_digit.max() <= 37


def test_no_test_image_is_a_training_image(splits: tuple[data.Split, data.Split]) -> None:
    train, test = ({image.numpy().tobytes() for image in split.images} for split in splits)
    assert not train & test


def test_normalisation_is_that_of_the_training_images(
    splits: tuple[data.Split, data.Split],
) -> None:
    scaled = splits[0].images.double() / 255
    assert round(scaled.mean().item(), 4) == data.MEAN
    assert round(scaled.std().item(), 4) == data.STD


def test_augmentation_depends_on_the_seed_only(splits: tuple[data.Split, data.Split]) -> None:
    images = splits[0].images[:4]
    once, again, other = (
        data.augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.dtype == torch.uint8
    assert once.shape == images.shape
