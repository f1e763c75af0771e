"""What the integer ops round on their way, imitated in float for training.

Quantizing the real value of a layer gives the op's code but once in some hundred, and at 4 bits
the layers behind it turn that into other classes. So where an op rounds more than its output and
its matmul's bias (``docs/ops.md``), training takes the op's own result with 6 fraction bits, and
the gradient of the real one.

Steps are the real value of a code. Results are real values, float32, and have no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pqv_onnx.ops.domain import FRACTION_BITS, SOFTMAX_FRACTION_BITS

_LOW, _HIGH = -(2**15), 2**15 - 1


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, _real: Tensor, exact: Tensor) -> Tensor:
        return exact

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def straight_through(real: Tensor, exact: Tensor) -> Tensor:
    """``exact`` in forward; the gradient goes to ``real``, of the same shape."""
    out: Tensor = _StraightThrough.apply(real, exact)
    return out


@torch.no_grad()
def requantize(x: Tensor, unit: Tensor, out_step: Tensor) -> Tensor:
    """A packed matmul before its narrowing, from its accumulators.

    Args:
        x: [..., N], multiples of ``unit``.
        unit: step of the accumulators, [] or [N].
        out_step: [] or [N].
    """
    multiplier, power = _normalized(unit, out_step)
    sums = (x.float() / unit.float()).round_()
    u = _multiplied(_shifted(sums, power + FRACTION_BITS), multiplier)
    return u.mul_(out_step / 2**FRACTION_BITS)


@torch.no_grad()
def logits(x: Tensor, unit: Tensor) -> Tensor:
    """The z of IntSoftmax2n, in log2 units, of ``x``, multiples of ``unit``."""
    multiplier, power = _normalized(unit, torch.ones_like(unit))
    sums = (x.float() / unit.float()).round_()
    z = _multiplied(_shifted(sums, power + SOFTMAX_FRACTION_BITS), multiplier)
    return z.div_(2**SOFTMAX_FRACTION_BITS)


@torch.no_grad()
def layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, in_step: Tensor, out_step: Tensor
) -> Tensor:
    """IntLayerNorm before its narrowing.

    Args:
        x: [..., C], multiples of ``in_step``.
        weight: [C].
        bias: [C].
        eps: added to the variance.
        in_step: step of the channels with exponent 0, [].
        out_step: [] or [C].
    """
    channels = x.shape[-1]
    codes = (x.float() / in_step).round_()
    total = codes.sum(-1, keepdim=True)
    squares = codes.square().sum(-1, keepdim=True, dtype=torch.float64)
    epsilon = (eps * (channels / in_step.double()).square()).round()
    spread = channels * squares - total.double().square() + epsilon
    reciprocal, bits = _reciprocal(spread.clamp_min_(1).sqrt_().floor_())
    t = _shifted(codes.mul_(channels).sub_(total), 10 - bits)
    multiplier, power = _normalized(weight, out_step)
    u = _multiplied(_shifted(t.mul_(reciprocal), power - 18), multiplier)
    return u.add_((bias.double() / out_step * 2**FRACTION_BITS).round_().float()).mul_(
        out_step / 2**FRACTION_BITS
    )


@torch.no_grad()
def weighted_mean(mean: Tensor, total: Tensor, in_step: Tensor, out_step: Tensor) -> Tensor:
    """IntWeightedMean before its narrowing.

    Args:
        mean: the real one, [..., M, D].
        total: sum of the integer weights, [..., M, 1].
        in_step: of the values, [].
        out_step: [].
    """
    sums = (mean.float() * (total / in_step)).round_()
    reciprocal, bits = _reciprocal(total)
    ratio, power = _normalized(in_step, out_step)
    u = _multiplied(_shifted(sums, power + 7 - bits), _multiplied(reciprocal, ratio))
    return u.mul_(out_step / 2**FRACTION_BITS)


@torch.no_grad()
def residual_link(residual: Tensor, in_step: Tensor, out_step: Tensor) -> Tensor:
    """What a packed matmul adds of its residual [..., C]; both steps are [C]."""
    multiplier = (in_step.double() / out_step * 2**13).round_().float()
    codes = (residual.float() / in_step).round_()
    return codes.mul_(multiplier / 2**7).add_(0.5).floor_().mul_(out_step / 2**FRACTION_BITS)


def _normalized(step: Tensor, out_step: Tensor) -> tuple[Tensor, Tensor]:
    """The 16-bit multiplier and the exponent of step / out_step (see ``fixed_point``)."""
    fraction, exponent = torch.frexp(step.double() / out_step.double())
    return (fraction * 2**15).round_().float(), exponent


def _reciprocal(x: Tensor) -> tuple[Tensor, Tensor]:
    """``reciprocal(x, e)`` of integers and ``e``, their number of bits."""
    bits = torch.frexp(x).exponent
    quotient = torch.ldexp(torch.ones_like(x), bits + 14).div_(x).floor_()
    return quotient.clamp_max_(_HIGH).float(), bits


def _shifted(x: Tensor, power: Tensor) -> Tensor:
    """``sat16(round_shift(x, -power))``, in place."""
    return x.mul_(torch.exp2(power.float())).add_(0.5).floor_().clamp_(_LOW, _HIGH)


def _multiplied(x: Tensor, multiplier: Tensor) -> Tensor:
    """``mul_q15(x, multiplier)``."""
    return (x * (multiplier / 2**15)).add_(0.5).floor_()
