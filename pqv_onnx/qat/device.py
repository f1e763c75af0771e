"""Where a model is calibrated and trained: on the machine's accelerator, if it has one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def accelerator() -> torch.device | None:
    """The machine's accelerator."""
    return torch.accelerator.current_accelerator(check_available=True)


@contextmanager
def on_accelerator(*models: nn.Module) -> Iterator[None]:
    """Models that lie on the CPU are on the machine's accelerator meanwhile, if there is one."""
    device = accelerator()
    moved = [model for model in models if device is not None and device_of(model).type == "cpu"]
    try:
        for model in moved:
            model.to(device)
        yield
    finally:
        for model in moved:
            model.cpu()


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device
