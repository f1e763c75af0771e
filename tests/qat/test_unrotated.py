"""What is trained is not rotated, and what it computes is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import QuantModel, calibrate, convert_to_qat, round_weights
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.unrotated import rotated_state, unrotate, unrotated
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model, images

PRESET = QuantSpec.preset("w8a8")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_stays_what_it_is(variant: str) -> None:
    check(convert_to_qat(float_model(variant), PRESET), images(4))


def test_a_layer_between_two_streams_is_turned_on_both_sides() -> None:
    """Swin's from one stage to the next."""
    sizes = {"img_size": (32, 24), "depths": (2, 2, 1), "num_heads": (2, 4, 4)}
    model = convert_to_qat(float_model("swin", **sizes), PRESET)
    check(model, torch.randn(4, 1, 32, 24))


def check(model: QuantModel, x: torch.Tensor) -> None:
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with full_precision():
        expected = model(x)
        unrotate(model)
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
    rotated = rotated_state(model)
    assert set(rotated) == set(kept)
    torch.testing.assert_close(rotated, kept, rtol=1e-4, atol=1e-5, equal_nan=True)
    QuantModel(model.config).load_state_dict(rotated)


def test_updates_are_of_what_was_before_the_rotation() -> None:
    """Adam's first update moves each element by the same: here those of timm's layer."""
    vit = float_model()
    model = convert_to_qat(vit, PRESET)
    with full_precision(), unrotated(model):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=0)
        model(images(4)).square().sum().backward()
        optimizer.step()
    projection = vit.patch_embed.proj.weight.flatten(1)
    undone = convert_to_qat(vit, PRESET)
    undone.load_state_dict(model.state_dict())
    unrotate(undone)
    now = undone.patch_embed.proj.parametrizations.weight.original  # type: ignore[union-attr]
    torch.testing.assert_close(
        (now - projection).abs(), torch.full_like(projection, 1e-3), rtol=1e-2, atol=0
    )


def test_without_a_rotation_nothing_changes() -> None:
    for model in (
        float_model(),
        convert_to_qat(float_model(), PRESET.with_schemes({"residual": "per-tensor"})),
    ):
        names = set(model.state_dict())
        with unrotated(model):
            assert set(model.state_dict()) == names


def test_an_error_inside_leaves_the_usual_names() -> None:
    model = convert_to_qat(float_model(), PRESET)
    names = list(dict(model.named_parameters()))
    with pytest.raises(KeyError), unrotated(model):
        raise KeyError
    assert sorted(dict(model.named_parameters())) == sorted(names)


def test_twice_is_refused() -> None:
    model = convert_to_qat(float_model(), PRESET)
    unrotate(model)
    with pytest.raises(PqvError, match="unrotated already"):
        unrotate(model)


@pytest.mark.parametrize("function", [calibrate, round_weights])
def test_what_would_be_lost_is_refused(function: Callable[..., None]) -> None:
    model = convert_to_qat(float_model(), PRESET)
    with unrotated(model), pytest.raises(PqvError, match="the model is unrotated for training"):
        function(model, images(4))
