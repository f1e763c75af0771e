"""The two heads of a distilled DeiT: apart in training, one in everything else."""

from __future__ import annotations

import torch

from pqv_onnx.integer import convert_to_integer
from tests.qat.models import float_model, images, qat_model


def test_apart_they_are_timms_heads() -> None:
    teacher = float_model("distilled")
    model = qat_model("distilled", "w8a8")
    assert model.train_heads_apart()
    teacher.set_distilled_training(True)
    wanted = torch.stack(teacher.train()(images(16)))
    found = model.train()(images(16))
    assert found.shape == (2, 16, 7)
    assert (found - wanted).square().mean() < 0.01 * (wanted[0] - wanted[1]).square().mean()


def test_together_they_are_the_mean() -> None:
    model = qat_model("distilled")
    model.train_heads_apart()
    with torch.no_grad():
        torch.testing.assert_close(
            model.train()(images(8)).mean(0), model.eval()(images(8)), atol=1e-3, rtol=0
        )


def test_each_head_learns_by_itself() -> None:
    model = qat_model("distilled").train()
    model.train_heads_apart()
    model(images(4))[0].sum().backward()
    own, other = model.head.weight.grad.chunk(2, 1)
    assert own.any() and not other.any()


def test_the_integer_model_has_their_mean_only() -> None:
    model = qat_model("distilled")
    before = convert_to_integer(model).state_dict()
    model.train_heads_apart()
    model.head.difference.data.add_(1.0)
    after = convert_to_integer(model).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert before.keys() == after.keys()


def test_other_models_have_one_head() -> None:
    model = qat_model()
    assert not model.train_heads_apart()
    assert model.train()(images(2)).shape == (2, 7)
