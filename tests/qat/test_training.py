"""Training: every step and weight learns, and the loss falls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from pqv_onnx.qat import full_precision, real_weights
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.unrotated import unrotate
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


@pytest.mark.parametrize(
    ("mode", "kind"), [(full_precision, Quantizer), (real_weights, WeightQuantizer)]
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_all_but_the_steps_of_what_is_not_rounded_get_one(
    variant: str, mode: Callable[[], AbstractContextManager[None]], kind: type[Quantizer]
) -> None:
    """Processes wait for the gradient of whatever is trained."""
    model = qat_model(variant, "w4a4").train()
    unrotate(model)
    for module in model.modules():
        if isinstance(module, kind):
            module.requires_grad_(False)
    with mode():
        F.cross_entropy(model(images(16)), torch.arange(16) % CLASSES).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


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
