from __future__ import annotations

import math

import torch

from benchmarks.accuracy.pretrained.noise import kinds_of, rounding, sqnr_by_kind
from tests.qat.models import images, qat_model


def test_each_kind_alone_is_less_than_all() -> None:
    model = qat_model("token", "w4a4").eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    (_, count, everything), (_, _, exact), *kinds = list(sqnr_by_kind(model, images(8)))
    assert count == sum(number for _, number, _ in kinds)
    assert {name for name, *_ in kinds} >= {"blocks.*.norm1", "blocks.*.mlp.fc2", "head"}
    assert everything != exact  # the softmax is another one
    for name, _, sqnr in kinds:
        assert everything < sqnr < math.inf, name
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name  # left as it was


def test_nothing_chosen_is_the_float_model() -> None:
    model = qat_model("token", "w8a8").eval()
    with rounding(model, []):
        first = model(images(8))
    with rounding(model, kinds_of(model)["head"]):
        assert not torch.equal(model(images(8)), first)
    with rounding(model, []):
        assert torch.equal(model(images(8)), first)
