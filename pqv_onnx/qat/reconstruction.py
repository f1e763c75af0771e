"""Block reconstruction: a quantized model learns the float model's outputs, part by part.

BRECQ (Li et al., ICLR 2021) with QDrop (Wei et al., ICLR 2022): each segment of a model, half a
block, is trained by itself on some unlabelled images. Its input is what the quantized segments
before it give, here and there exchanged for the float model's; its target is what the float
segment gives. Weights, biases and steps are trained straight through the rounding, on the codes
that run: how a weight is rounded is chosen by what it does to the output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment

METHOD = 5
"""Changes when the same options give other weights: what an older version began does not go on."""


@dataclass(frozen=True)
class Reconstruction:
    """How segments are trained.

    Attributes:
        steps: updates of each segment.
        batch_size: images in an update.
        rate: largest learning rate, relative to the size of what is trained.
        drop: share of the input's elements that are the float model's.
        seed: of the images' order and of the exchanged elements.
    """

    steps: int = 200
    batch_size: int = 16
    rate: float = 5e-3
    drop: float = 0.5
    seed: int = 0


def reconstruct(
    segment: Segment,
    inputs: Tensor,
    float_inputs: Tensor,
    targets: Tensor,
    weights: Tensor,
    options: Reconstruction,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train a calibrated segment in place.

    Args:
        segment: the segment.
        inputs: what the quantized segments before it give for all images, [B, ...].
        float_inputs: the reference's in their place: the float model, or the one whose weights are
            not rounded.
        targets: the reference's output of the segment for ``float_inputs``, [B, ..., C].
        weights: what the squared error of each element of it counts, [..., C].
        options: how to train.
        progress: called after each update with the share of them that is done.
    """
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.Adam(_groups(segment, options.rate))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for step in range(options.steps):
        chosen = torch.randint(len(inputs), (options.batch_size,), generator=generator)
        x, target = inputs[chosen], targets[chosen]
        kept = torch.rand(x.shape, generator=generator) >= options.drop
        x = torch.where(kept.to(x.device), x, float_inputs[chosen])
        with torch.enable_grad():
            loss = ((segment(x) - target).square() * weights).mean()
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        progress((step + 1) / options.steps)
    for module in segment.submodules():
        if isinstance(module, QuantLinear):
            # Training leaves many weights close to where two codes meet: the first update of
            # whatever is trained next would round them all anew.
            module.settle()


def error_weights(targets: Tensor, effects: Tensor) -> Tensor:
    """What the squared error of an element of a segment's output counts.

    The geometric mean of an equal share for each channel, and of the squared derivatives that a
    linear model would have it be: errors are no small changes, and are not independent.

    Args:
        targets: what the float segment gives for all images, [B, ..., C].
        effects: how much the model's outputs depend on each element of it, [..., C].
    """
    deviation = targets.flatten(0, -2).std(0).clamp_min(1e-6)
    if not effects.any():  # of a new head of zeros
        effects = torch.ones_like(effects)
    return effects / effects.mean() / deviation


def _groups(segment: Segment, rate: float) -> list[dict[str, object]]:
    """An update moves a tensor by a share of its size; steps are logarithms already."""
    groups: list[dict[str, object]] = []
    for module in segment.modules:
        for name, parameter in module.named_parameters():
            size = 1.0 if name.endswith("log_step") else _size(parameter)
            groups.append({"params": [parameter], "lr": rate * size})
    return groups


def _size(parameter: nn.Parameter) -> float:
    return parameter.detach().square().mean().sqrt().item()
