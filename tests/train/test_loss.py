from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pqv_onnx.train.loss import Criterion, distillation_loss
from pqv_onnx.train.recipe import Distillation

STUDENT = torch.tensor([[0.0, math.log(3.0)]])
TEACHER = torch.tensor([[math.log(3.0), 0.0]])
LABEL = torch.tensor([1])


class Fixed(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return TEACHER


def test_soft_is_the_divergence_from_the_teacher() -> None:
    # Teacher (3/4, 1/4), student (1/4, 3/4): 3/4 ln 3 - 1/4 ln 3.
    expected = pytest.approx(0.5 * math.log(3.0))
    assert distillation_loss(STUDENT, TEACHER, "soft", 1.0).item() == expected
    assert distillation_loss(TEACHER, TEACHER, "soft", 4.0).item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_does_not_fall_with_the_temperature() -> None:
    sizes = []
    for temperature in (10.0, 20.0):
        logits = STUDENT.clone().requires_grad_()
        distillation_loss(logits, TEACHER, "soft", temperature).backward()
        assert logits.grad is not None
        sizes.append(logits.grad.abs().max().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_hard_takes_the_teachers_class() -> None:
    expected = F.cross_entropy(STUDENT, torch.tensor([0])).item()
    assert distillation_loss(STUDENT, TEACHER, "hard", 1.0).item() == expected


def test_the_weight_mixes_labels_and_teacher() -> None:
    images = torch.zeros(1, 1)
    labels = F.cross_entropy(STUDENT, LABEL)
    soft = distillation_loss(STUDENT, TEACHER, "soft", 1.0)
    for weight in (0.0, 0.25, 1.0):
        criterion = Criterion(Distillation("soft", weight), Fixed(), 0.0)
        expected = (weight * soft + (1 - weight) * labels).item()
        assert criterion(STUDENT, LABEL, images).item() == pytest.approx(expected)
    assert Criterion(Distillation(), None, 0.0)(STUDENT, LABEL, images).item() == labels.item()


def test_of_two_heads_each_has_its_own_loss() -> None:
    heads = torch.stack([STUDENT, TEACHER + torch.tensor([[1.0, 0.0]])])
    found = Criterion(Distillation("hard", 0.25), Fixed(), 0.0)(heads, LABEL, torch.zeros(1, 1))
    labels = F.cross_entropy(heads[0], LABEL)
    teacher = F.cross_entropy(heads[1], torch.tensor([0]))
    assert found.item() == pytest.approx((0.75 * labels + 0.25 * teacher).item())


def test_labels_may_be_smoothed_or_mixed() -> None:
    images = torch.zeros(1, 1)
    smoothed = Criterion(Distillation(), None, 0.2)(STUDENT, LABEL, images)
    mixed = Criterion(Distillation(), None, 0.2)(STUDENT, torch.tensor([[0.1, 0.9]]), images)
    assert smoothed.item() == pytest.approx(mixed.item())
