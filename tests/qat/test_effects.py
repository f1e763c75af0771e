"""Effects: derivatives of the outputs, and nothing where outputs do not depend on an element."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.qat import convert_to_qat
from pqv_onnx.qat.effects import output_effects
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.spec import QuantSpec
from tests.qat.models import CLASSES, float_model, images


def effects(variant: str, task: str | None = None) -> list[torch.Tensor]:
    model = convert_to_qat(float_model(variant), QuantSpec.preset("w4a4"), task=task)
    with full_precision():
        return output_effects(model, images(16).split(8))


def test_patches_behind_the_last_attention_do_not_matter_to_a_class_token() -> None:
    found = effects("token")
    assert found[-1].shape == (CLASSES,)
    before_head = found[-2]
    assert (before_head[0] > 0).all()
    assert not before_head[1:].any()
    assert all((effect > 0).all() for effect in found[:-3])


def test_patches_matter_to_their_average() -> None:
    assert all((effect > 0).all() for effect in effects("average_without_class_token")[:-1])


@pytest.mark.parametrize("task", ["tokens", "features"])
def test_every_patch_of_a_map_matters(task: str) -> None:
    """Features are results of several segments, without the class token."""
    for effect in effects("token", task):
        assert (effect[1:] > 0).any(-1).all()


def test_a_small_change_changes_outputs_by_as_much_as_effects_say() -> None:
    """An element of which outputs depend twice as much moves them twice as far."""
    model = convert_to_qat(
        float_model("average_without_class_token"), QuantSpec.preset("w4a4")
    ).double()
    data = images(256).double()
    segments = model.segments()
    with full_precision(), torch.no_grad():
        effect = output_effects(model, data.split(8))[-2]
        hidden = data
        for segment in segments[:-1]:
            hidden = segment(hidden)
        moved = torch.stack([_moved(segments[-1], hidden, place) for place in range(20)])
    ratio = moved / effect.flatten()[:20]
    assert ratio.std() < 0.15 * ratio.mean()


def _moved(segment, hidden: torch.Tensor, place: int) -> torch.Tensor:
    changed = hidden.clone()
    changed.flatten(1)[:, place] += 1e-4
    return (segment(changed) - segment(hidden)).square().sum().sqrt()


@pytest.mark.parametrize("variant", ["swin", "distilled"])
def test_effects_have_the_shapes_of_outputs(variant: str) -> None:
    model = convert_to_qat(float_model(variant), QuantSpec.preset("w4a4"))
    x = images(2)
    with full_precision(), torch.no_grad():
        for segment, effect in zip(model.segments(), effects(variant), strict=True):
            x = segment(x)
            assert effect.shape == x.shape[1:]
