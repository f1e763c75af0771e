"""Grouping: channels of a GELU that want steps alike share one.

Where all codes have one step, the channel with the largest values sets it for the others. Any order
of the hidden channels of an MLP gives the same model, so those that are alike become neighbours.
Each group of neighbours has a table of its own (`IntGELU`), which divides what it gives by a ratio;
the weights behind are multiplied by it, so that nothing is added at run time.

A channel with values of size ``v`` and weights of length ``w`` behind it makes noise like
``w r`` where the values are rounded and ``v / r`` where the weights are: least for
``r = sqrt(v / w)``, as `balancing` has it for heads.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pqv_onnx.qat.layers import QuantActivation, QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.quantizers import GROUPS, GroupedQuantizer
from pqv_onnx.qat.watching import totals

Hidden = tuple[QuantLinear, QuantActivation, list[QuantLinear]]
"""A layer, the function behind it, and the layers that read that."""

_LEAST = 1e-3
"""What a channel counts at least, next to the mean one: images may not have all of them."""


@torch.no_grad()
def group(segment: Segment, activations: Iterable[Hidden], inputs: Iterable[Tensor]) -> None:
    """Group the channels of those of ``activations`` that are in ``segment`` and can be.

    Args:
        segment: of a fake-quantized model.
        activations: of the model.
        inputs: what the float model has in front of the segment, in batches.
    """
    here = {
        function: (function.quantizer, before, behind)
        for before, function, behind in activations
        if isinstance(function.quantizer, GroupedQuantizer) and segment.has([before, *behind])
    }
    for quantizer, _, behind in here.values():
        _set_ratio(quantizer, behind, torch.ones(GROUPS))

    def squares(_: QuantActivation, out: Tensor) -> tuple[Tensor]:
        return (out.double().square().flatten(0, -2).sum(0),)

    found = totals(segment, here, inputs, squares)
    for function, (quantizer, before, behind) in here.items():
        (values,) = found[function]
        wanted = _at_least(values).div(_at_least(_lengths(behind))).log() / 4  # of squares
        order = wanted.argsort(stable=True)
        _reorder(before, behind, order)
        means = wanted[order].reshape(GROUPS, -1).mean(1)
        _set_ratio(quantizer, behind, (means - means.mean()).exp())


def _lengths(linears: Iterable[QuantLinear]) -> Tensor:
    """Squared lengths of the weights of each input, float64."""
    return torch.cat([linear.weight.double() for linear in linears]).square().sum(0)


def _at_least(squares: Tensor) -> Tensor:
    return squares.clamp_min((_LEAST**2 * squares.mean()).clamp_min(1e-30))


def _reorder(before: QuantLinear, behind: Iterable[QuantLinear], order: Tensor) -> None:
    """Put hidden channels into an order, int64 [channels]."""
    before.weight.copy_(before.weight[order])
    if before.bias is not None:
        before.bias.copy_(before.bias[order])
    for linear in behind:
        linear.weight.copy_(linear.weight[:, order])


def _set_ratio(quantizer: GroupedQuantizer, behind: Iterable[QuantLinear], ratio: Tensor) -> None:
    """Divide each group's outputs by a ratio, [groups], in place of what they are divided by."""
    ratio = ratio.to(quantizer.ratio)
    change = quantizer.by_channel(ratio / quantizer.ratio)
    quantizer.ratio.copy_(ratio)
    for linear in behind:
        linear.weight.mul_(change)
