"""The comparison of file formats, on runtimes that are functions."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.accuracy.pretrained.formats import Way, compare  # noqa: E402


def test_ways_are_scored_beside_the_first() -> None:
    def classes(images: np.ndarray) -> np.ndarray:
        """The class is the channel that is brightest."""
        return images.mean((2, 3))

    pixels = torch.zeros(30, 112, 112, 3, dtype=torch.uint8)
    labels = torch.arange(30) % 3
    pixels[torch.arange(30), :, :, labels] = 200
    labels[:3] = (labels[:3] + 1) % 3
    found = compare([Way("same", classes), Way("wrong", lambda x: -classes(x))], pixels, labels, 3)
    assert [each.name for each in found] == ["same", "wrong"]
    assert found[0].top1 == pytest.approx(90) and found[0].same_class == 100
    assert found[1].top1 <= 10 and found[1].same_class == 0
    assert all(each.milliseconds > 0 for each in found)
