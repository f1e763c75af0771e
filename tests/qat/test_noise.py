"""Signal to quantization noise ratio behind each part of a model."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pqv_onnx.qat.exact import full_precision  # noqa: E402
from pqv_onnx.qat.noise import decibels, segment_sqnr  # noqa: E402


def test_noise_of_parts(tiny_qat: dict[str, Any]) -> None:
    images = torch.randn(11, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = {name: segment_sqnr(model, model, images) for name, model in tiny_qat.items()}
    names = [segment.name for segment in tiny_qat["w8a8"].segments()]
    assert list(found["w8a8"]) == list(found["w4a4"]) == names
    assert found["w8a8"]["head"] > found["w4a4"]["head"]
    for name, model in tiny_qat.items():
        with full_precision(), torch.no_grad():
            wanted = model(images).double()
        with torch.no_grad():
            noise = (model(images).double() - wanted).square().sum()
        expected = 10 * math.log10(wanted.square().sum() / noise)
        assert found[name]["head"] == pytest.approx(expected, abs=1e-3)


def test_no_noise_without_rounding(tiny_qat: dict[str, Any]) -> None:
    model = tiny_qat["w8a8"]
    with full_precision():
        found = segment_sqnr(model, model, torch.zeros(1, 3, 16, 16))
    assert set(found.values()) == {math.inf}


def test_decibels_at_their_ends() -> None:
    assert decibels(200.0, 2.0) == pytest.approx(20)
    assert decibels(0.0, 0.0) == decibels(1.0, 0.0) == math.inf
    assert decibels(0.0, 1.0) == -math.inf
    assert math.isnan(decibels(1.0, math.nan))
