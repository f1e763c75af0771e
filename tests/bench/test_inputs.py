"""The photos of the benchmark of inputs, and a smaller version of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("skimage")

from benchmarks.accuracy.inputs import evaluate, table  # noqa: E402
from benchmarks.accuracy.photos import CLASSES, SIZES, make_photos  # noqa: E402


def test_photos_of_all_sizes(tmp_path: Path) -> None:
    photos = make_photos(tmp_path, len(SIZES), seed=0)
    assert [photo.open().size for photo in photos] == SIZES and len(set(SIZES)) == 20
    assert all(0 <= photo.label < CLASSES for photo in photos)


def test_files_of_images_beside_timms_transform(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photos = make_photos(folder, 20, seed=0)
    plain, pixels, image, encoded = evaluate(tiny_qat["w8a8"], tmp_path, photos)
    assert pixels.equal == image.equal == 100
    assert image.furthest == image.differing == 0
    assert encoded.differing is not None and encoded.differing > 0
    assert plain.name in table([plain, pixels, image, encoded], 20)
