"""Crops of photos: the same ones each time, training and validation images from apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage")
pytest.importorskip("sklearn")

from benchmarks.accuracy.pretrained.crops import PHOTOS, crop, main


def test_every_photo_is_a_class(tmp_path: Path) -> None:
    main(tmp_path / "a", train=2, validation=1)
    main(tmp_path / "b", train=2, validation=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png"))
    assert len({file.parts[1] for file in files}) == len(PHOTOS) + 2
    assert sum(file.parts[0] == "train" for file in files) == 2 * (len(PHOTOS) + 2)
    for file in files:
        image = Image.open(tmp_path / "a" / file)
        assert image.mode == "RGB"
        assert image.width == image.height
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_crops_stay_between_columns() -> None:
    photo = np.broadcast_to(np.arange(300)[None, :, None], (200, 300, 3)).astype(np.uint16)
    for seed in range(50):
        piece = crop(photo, (100, 180), np.random.default_rng(seed))
        assert 40 <= piece.shape[0] == piece.shape[1] < 80
        assert piece.min() >= 100
        assert piece.max() < 180
