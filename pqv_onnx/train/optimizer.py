"""timm's optimizers and schedules for quantized models."""

from __future__ import annotations

import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.scheduler.scheduler import Scheduler
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.train.recipe import Optimizer, Train

NO_DECAY = ("*log_step", "*.value", "*.value.original")
"""Steps, of which ``exp(0) = 1`` is no goal, and constants: tokens, positions, biases, factors."""


def make_optimizer(model: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """Create the optimizer of a recipe.

    Raises:
        PqvError: timm has no such optimizer, or it lacks an option.
    """
    groups = param_groups_weight_decay(model, options.weight_decay, no_weight_decay_list=NO_DECAY)
    try:
        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            groups,
            options.name,
            lr=options.lr,
            weight_decay=options.weight_decay,
            momentum=options.momentum,
        )
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise PqvError(f"train.optimizer {options.name!r}: {error}") from error
    return optimizer


def make_scheduler(
    optimizer: torch.optim.Optimizer, train: Train, steps_per_epoch: int
) -> Scheduler:
    """Create the learning rate schedule of a recipe; it is stepped by updates."""
    scheduler, _ = create_scheduler_v2(
        optimizer,
        train.schedule.name,
        num_epochs=train.epochs,
        decay_epochs=max(train.epochs // 3, 1),
        min_lr=train.schedule.min_lr,
        warmup_lr=train.schedule.warmup_lr,
        warmup_epochs=train.schedule.warmup_epochs,
        step_on_epochs=False,
        updates_per_epoch=steps_per_epoch,
    )
    assert scheduler is not None
    return scheduler
