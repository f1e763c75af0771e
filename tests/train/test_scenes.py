"""The cluttered scenes."""

from __future__ import annotations

import pytest
import timm
import torch

from pqv_onnx.demo.data import load_split
from pqv_onnx.errors import PqvError
from pqv_onnx.train import scenes


def test_scenes_depend_on_the_seed_alone() -> None:
    digits, _ = load_split()
    first, same = (scenes.draw_scenes(digits, 4, seed=5) for _ in range(2))
    other = scenes.draw_scenes(digits, 4, seed=6)
    assert first.images.shape == (4, 1, scenes.IMAGE_SIZE, scenes.IMAGE_SIZE)
    assert first.images.dtype == torch.uint8 and first.labels.dtype == torch.int64
    assert torch.equal(first.images, same.images) and torch.equal(first.labels, same.labels)
    assert not torch.equal(first.images, other.images)


def test_no_digit_is_in_two_splits() -> None:
    parts = [scenes._digits(split).images.flatten(1) for split in ("train", "validation", "test")]
    assert sum(len(part) for part in parts) == 1797
    for index, part in enumerate(parts):
        others = torch.cat(parts[:index] + parts[index + 1 :]).float()
        # Two writers may have made the same 8 x 8 pixels; a shared digit would be many.
        assert (torch.cdist(part.float(), others).amin(1) == 0).sum() <= 2


def test_every_scene_has_its_digit_in_a_frame() -> None:
    digits, _ = load_split()
    drawn = scenes.draw_scenes(digits, 64, seed=0)
    assert set(drawn.labels.tolist()) == set(range(10))
    bright = (drawn.images > 200).flatten(1).float().mean(1)
    assert bool((bright > 24 / scenes.IMAGE_SIZE**2).all())


def test_unknown_split() -> None:
    with pytest.raises(PqvError, match="scenes have no split 'valid', expected train or"):
        scenes.load_scenes("valid")


def test_model_and_constants_fit_the_scenes() -> None:
    model = timm.create_model(scenes.MODEL_NAME).eval()
    pixels = scenes.draw_scenes(load_split()[0], 256, seed=1).images.float() / 255
    assert model(pixels[:2]).shape == (2, 10)
    assert abs(pixels.mean().item() - scenes.MEAN) < 0.02
    assert abs(pixels.std().item() - scenes.STD) < 0.02
