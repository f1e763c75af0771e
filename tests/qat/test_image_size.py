"""Models for images of another size than timm makes them for."""

from __future__ import annotations

import pytest
import timm
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.build import build_random_qat, create_timm, random_images, set_image_size
from pqv_onnx.qat.convert import describe, image_size
from pqv_onnx.spec import QuantSpec
from tests.trace.models import MODELS

FIXED = {"mixer", "gmlp", "resmlp", "hiera"}
"""Whose weights or moves are for one number of tokens."""


@pytest.mark.parametrize("structure", sorted(FIXED))
def test_other_sizes_are_refused(structure: str) -> None:
    small = MODELS[structure]
    model = small.make("meta")
    set_image_size(model, (2 * small.size[1], small.size[2]))
    with pytest.raises(PqvError, match="forward fails on the meta device: "):
        describe(model)


@pytest.mark.parametrize("structure", sorted(MODELS.keys() - FIXED))
def test_every_structure(structure: str) -> None:
    """Of images that are higher than wide."""
    small = MODELS[structure]
    channels, height, width = small.size
    model = small.make("meta")
    set_image_size(model, (2 * height, width))
    assert image_size(model) == (channels, 2 * height, width)
    assert describe(model).input.shape[1:] == (channels, 2 * height, width)


def test_positions_are_resampled_as_timm_loads_them() -> None:
    name, sizes = "vit_tiny_patch16_224", {"depth": 1, "num_classes": 3}
    model = create_timm(name, **sizes).eval()
    loaded = timm.create_model(name, img_size=(96, 128), **sizes).eval()
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(model.state_dict(), loaded)
    loaded.load_state_dict(filtered)
    set_image_size(model, (96, 128))
    images = torch.randn(1, 3, 96, 128)
    assert torch.equal(model(images), loaded(images))


def test_random_weights() -> None:
    model = build_random_qat("test_vit", QuantSpec.preset("w8a8"), 0, size=(48, 32))
    assert model.config.backbone.img_size == (48, 32)
    assert model(random_images(model.config, 1)).shape == (1, 1000)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ((225, 224), "do not divide images of 225: the nearest sizes are 224 and 240"),
        ((224, 8), "do not divide images of 8: the nearest size is 16"),
    ],
)
def test_sizes_that_leave_a_rest(size: tuple[int, int], sentence: str) -> None:
    with pytest.raises(PqvError, match=sentence):
        set_image_size(create_timm("vit_tiny_patch16_224", depth=1), size)


def test_what_timm_cannot_make() -> None:
    with pytest.raises(PqvError, match=r"timm cannot make it for 16000000 x 16000000: "):
        set_image_size(create_timm("vit_tiny_patch16_224", depth=1), (16_000_000, 16_000_000))
