from __future__ import annotations

import pytest
import torch
from torch import nn

from pqv_onnx.demo import data
from pqv_onnx.demo.train import Schedule, evaluate, fit, predict, top1

SCHEDULE = Schedule(epochs=2, learning_rate=1e-2, warmup_epochs=0, batch_size=16)


def linear_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(data.IMAGE_SIZE**2, data.CLASSES))


@pytest.mark.parametrize("distil", [False, True])
def test_training_learns_and_repeats(distil: bool) -> None:
    images = data.load_split()[0].subset(96)
    teacher = linear_model() if distil else None
    if teacher is not None:
        fit(teacher, images, SCHEDULE, seed=3, title="teacher")
    models = [linear_model() for _ in range(2)]
    before = evaluate(models[0], images)
    for model in models:
        fit(model, images, SCHEDULE, seed=0, title="model", teacher=teacher)
    assert evaluate(models[0], images) > max(before, 50)
    assert torch.equal(predict(models[0], images.images), predict(models[1], images.images))


def test_top1_is_a_percentage() -> None:
    logits = torch.eye(4)
    assert top1(logits, torch.tensor([0, 1, 2, 0])) == 75.0
