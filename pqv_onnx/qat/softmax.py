"""The base-2 softmax of training: the same weights as IntSoftmax2n, with soft gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.ops.domain import SOFTMAX_FRACTION_BITS

_UNIT = 2**SOFTMAX_FRACTION_BITS


class _Softmax2nFunction(torch.autograd.Function):
    """Normalised quantized weights; the backward is a base-2 softmax's at those weights."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, log2: bool, excluded: Tensor | None) -> Tensor:
        fixed = (z * _UNIT).add_(0.5).floor_().clamp_(-32768, 32767)
        if excluded is not None:
            fixed.masked_fill_(excluded, -32768)
        d = (fixed.amax(-1, keepdim=True) - fixed).div_(_UNIT)
        weights = _log2_weights(d) if log2 else _uniform_weights(d)
        if excluded is not None:
            weights.masked_fill_(excluded, 0)
        attention = weights.div_(weights.sum(-1, keepdim=True).clamp_min_(1))
        ctx.save_for_backward(attention)
        return attention

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (attention,) = ctx.saved_tensors
        weighted = grads[0] * attention
        total = weighted.sum(-1, keepdim=True)
        return weighted.sub_(attention * total).mul_(math.log(2)), None, None


def _log2_weights(d: Tensor) -> Tensor:
    code = d.add_(0.5).floor_()
    kept = code <= 7
    return torch.exp2(7 - code).mul_(kept)


def _uniform_weights(d: Tensor) -> Tensor:
    whole = d.floor()
    f = d.sub_(whole)
    # The op's quadratic for 255 * 128 * 2^-f (docs/ops.md, IntSoftmax2n), with its roundings.
    slope = 21920 - (5600 * f).add_(0.5).floor_()
    mantissa = 32640 - slope.mul_(f).add_(0.5).floor_()
    return mantissa.mul_(torch.exp2(-7 - whole)).add_(0.5).floor_()


def softmax_2n(z: Tensor, log2: bool, excluded: Tensor | None = None) -> Tensor:
    """Attention weights of base-2 logits, quantized relative to each row's maximum.

    Int-2^n-Softmax of PackQViT, section 3.2, in the form of ``docs/ops.md``.

    Args:
        z: logits in log2 units, [..., N].
        log2: weights 2^(7 - round(d)) if true, else round(255 * 2^-d), d = max(z) - z.
        excluded: boolean, broadcast against z: places left out of the maximum, of weight 0.

    Returns:
        Weights divided by their sum, [..., N]. Gradients are those of 2^z / sum(2^z), taken at
        the quantized weights.
    """
    out: Tensor = _Softmax2nFunction.apply(z, log2, excluded)
    return out


class QuantSoftmax(nn.Module):
    """``softmax_2n`` as a module, so that its logits can be observed."""

    def __init__(self, log2: bool) -> None:
        """Set the form of the weights."""
        super().__init__()
        self.log2 = log2

    def forward(self, z: Tensor, excluded: Tensor | None = None) -> Tensor:
        """Attention weights of logits ``z`` [..., N] in log2 units."""
        return softmax_2n(z, self.log2, excluded)

    def totals(self, attention: Tensor) -> Tensor:
        """Sums [..., 1] of the integer weights that became ``attention`` [..., N]."""
        largest = 128 if self.log2 else 255
        return (largest / attention.detach().amax(-1, keepdim=True).clamp_min(1e-9)).round_()
