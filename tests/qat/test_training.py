"""Training: every step and weight learns, and the loss falls."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from tests.qat.models import CLASSES, VARIANTS, images, qat_model


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_gets_a_gradient(variant: str, precision: str) -> None:
    model = qat_model(variant, precision).train()
    labels = torch.arange(16) % CLASSES
    F.cross_entropy(model(images(16)), labels).backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert name == "head.difference"  # the mean of both heads does not depend on it
            continue
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_loss_falls(precision: str) -> None:
    model = qat_model(precision=precision).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    labels = torch.arange(16) % CLASSES
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(model(images(16)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert losses[-1] < 0.7 * losses[0]
