"""Centering: what is quantized is spread around zero, where the model's output does not change.

Signed codes are, too, so what the tokens have in common costs codes and carries nothing. It is
folded into biases, so nothing is added at run time:

- keys: what all keys of a head have in common adds the same to all logits of a row, which the
  softmax leaves out (SageAttention, Zhang et al., 2024, takes it off at run time);
- values: weights of attention have a sum of one, so what values have in common, the context has,
  too, and the projection's bias gives it back;
- outputs of norms: the biases of the layers behind give it back (Outlier Suppression+, Wei et al.,
  2023).

What `routes` cannot follow through the graph, or has no bias, is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import QuantLinear, QuantNorm
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.routes import Heads, Places, Routes
from pqv_onnx.qat.watching import totals

_STEPS = 200
"""After so many steps a center moves by no more than half a percent of the way to a position."""


@dataclass(frozen=True)
class Shift:
    """A constant that can be taken off.

    Attributes:
        module: what gives it, and has a bias.
        places: its channels, int64 [n, width].
        readers: who gives it back, with biases, and which of their inputs the channels are, int64
            [a multiple of n, width].
    """

    module: QuantLinear | QuantNorm
    places: Tensor
    readers: list[Places] = field(default_factory=list)

    @property
    def modules(self) -> list[QuantLinear | QuantNorm]:
        """All of it."""
        return [self.module, *(reader for reader, _ in self.readers)]

    def take(self, common: Tensor) -> None:
        """Take ``common``, float64 [n, width], off."""
        assert self.module.bias is not None
        self.module.bias[self.places] -= common.float()
        for linear, places in self.readers:
            assert linear.bias is not None
            repeated = common.repeat_interleave(len(places) // len(common), 0)
            back = (linear.weight.double()[:, places] * repeated).sum((1, 2))
            linear.bias.copy_(linear.bias.double() + back)


def _moments(_module: nn.Module, out: Tensor) -> tuple[Tensor, Tensor, int]:
    """What a module gives at each position of an image, its squares, and the number of images."""
    x = out.reshape(len(out), -1, out.shape[-1]).double()
    return x.sum(0), x.square().sum(0), len(x)


def _center(means: Tensor, sizes: Tensor) -> Tensor:
    """Where the largest mean squared distance is least (Badoiu and Clarkson, 2003).

    The mean would be far from a class token, on which the model's output depends most, and which
    is one of many: steps that fit the others clip it.

    Args:
        means: of each position, float64 [T, C].
        sizes: mean squared lengths, [T].
    """
    center = means.mean(0)
    for step in range(_STEPS):
        farthest = _distances(center, means, sizes).argmax()
        center = center + (means[farthest] - center) / (step + 2)
    return center


def _distances(center: Tensor, means: Tensor, sizes: Tensor) -> Tensor:
    """Mean squared distances of the positions, [T]."""
    return sizes - 2 * means @ center + center.square().sum()


def _bound(center: Tensor, distance: Tensor) -> Tensor:
    """The center, its entries cut off where they could be 512 steps of 8 bits or more.

    A step is a 127th of the largest value that is left, so a deviation, which is no more than that,
    is 127 steps at most, and three are 381. If more is wanted, a quarter of the largest entry is
    left, and the other three quarters are 381 steps, too.
    """
    deviation = (distance / len(center)).clamp_min(0).sqrt()
    limit = torch.maximum(3 * deviation, 0.75 * center.abs().max()).item()
    return center.clamp(-limit, limit)


def find_shifts(routes: Routes) -> list[Shift]:
    """What of a model can be centered."""
    found = [_of_norm(norm, linears) for norm, linears in routes.norms()]
    for heads in routes.heads():
        found += _of_heads(heads)
    return [s for s in found if all(module.bias is not None for module in s.modules)]


@torch.no_grad()
def center(segment: Segment, shifts: Iterable[Shift], inputs: Iterable[Tensor]) -> None:
    """Take those of ``shifts`` off that are in ``segment``.

    Args:
        segment: of a fake-quantized model.
        shifts: of the model.
        inputs: what the float model has in front of the segment, in batches.
    """
    here = [shift for shift in shifts if segment.has(shift.modules)]
    found = totals(segment, dict.fromkeys(shift.module for shift in here), inputs, _moments)
    for shift in here:
        sums, squares, images = found[shift.module]
        places = shift.places.flatten()
        means, sizes = sums[:, places] / images, squares[:, places].sum(1) / images
        point = _center(means, sizes)
        if isinstance(shift.module, QuantNorm):  # whose bias is less than 512 steps
            point = _bound(point, _distances(point, means, sizes).max())
        shift.take(point.reshape(shift.places.shape))


def _of_norm(norm: QuantNorm, linears: list[QuantLinear]) -> Shift:
    width = len(norm.weight)
    readers = [(x, torch.arange(x.weight.shape[1]).reshape(-1, width)) for x in linears]
    return Shift(norm, torch.arange(width)[None], readers)


def _of_heads(heads: Heads) -> Iterator[Shift]:
    if heads.apart:
        if heads.plain:
            yield Shift(*heads.key)
        yield Shift(*heads.value, [heads.output])
