"""What blocks that repeat leave behind says what the whole model would."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace import normalise, record
from pqv_onnx.trace.repeats import _repeated, drop_repeats
from tests.trace.models import MODELS, Small

DEEP = {
    name: replace(MODELS[name], kwargs=MODELS[name].kwargs | {"depth": 5})
    for name in ("vit", "parallel", "beit", "eva02", "rope_mixed", "naflex")
} | {
    name: replace(MODELS[name], kwargs=MODELS[name].kwargs | {"depths": (2, 8)})
    for name in ("swin", "swinv2", "swinv2_cr")
}


def _kinds(model: nn.Module, small: Small) -> list[tuple[str, str]]:
    return [(node.kind, node.path) for node in normalise(record(model, small.size)).nodes]


@pytest.mark.parametrize("structure", DEEP)
def test_what_is_left_is_part_of_the_whole(structure: str) -> None:
    """Under its name, with as much of each block as there was."""
    small = DEEP[structure]
    whole, model = small.make("meta"), small.make("meta")
    drop_repeats(model)
    left = {name for name, _ in model.named_modules()}
    assert len(left) < len(list(whole.modules()))
    wanted = [(kind, path) for kind, path in _kinds(whole, small) if path in left]
    assert _kinds(model, small) == wanted


def test_rates_of_stochastic_depth_do_not_matter() -> None:
    model = timm.create_model("test_vit", drop_path_rate=0.1)
    assert len({block.drop_path1.drop_prob for block in model.blocks[1:]}) > 1
    drop_repeats(model)
    assert list(dict(model.blocks.named_children())) == ["0", "1", "2"]  # the first has no rate


def test_blocks_that_differ_stay() -> None:
    model = timm.create_model("test_vit")
    model.blocks[4].mlp.act = nn.Softplus()
    model.blocks[5].norm1.eps = 0.5
    whole = normalise_error(model)
    drop_repeats(model)
    assert list(dict(model.blocks.named_children())) == ["0", "1", "4", "5"]
    assert normalise_error(model) == whole == "blocks.4.mlp.act: softplus is not supported"


def normalise_error(model: nn.Module) -> str:
    with pytest.raises(PqvError) as refusal:
        normalise(record(model.eval(), (3, 160, 160)))
    return str(refusal.value)


def test_hooks_make_modules_different() -> None:
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    model[2].register_forward_hook(lambda *_: torch.zeros(2))
    drop_repeats(model)
    assert len(model) == 4


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ("aaaa", "aa"),
        ("abababab", "abab"),
        ("aabb", "aabb"),
        ("caaab", "caab"),
        ("aabaabaab", "aabaab"),
        ("", ""),
    ],
)
def test_periods(keys: str, left: str) -> None:
    dropped = _repeated(list(keys))
    assert "".join(key for place, key in enumerate(keys) if place not in dropped) == left
