"""The base-2 softmax of training: the weights of IntSoftmax2n, with soft gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pqv_onnx.ops import fixed_point
from pqv_onnx.ops.int_softmax2n import softmax_weights
from pqv_onnx.qat import exact
from pqv_onnx.qat.exact import Sums, rounds

_LN2 = math.log(2)
_NO_WEIGHT = -64.0
"""A bias in log2 units that any op holds, and none of whose places comes near the row's largest."""


class _SoftmaxFunction(torch.autograd.Function):
    """Weights that are known; the backward is a base-2 softmax's at those weights."""

    @staticmethod
    def forward(ctx: Any, _z: Tensor, attention: Tensor) -> Tensor:
        ctx.save_for_backward(attention)
        return attention

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (attention,) = ctx.saved_tensors
        weighted = grads[0] * attention
        total = weighted.sum(-1, keepdim=True)
        return weighted.sub_(attention * total).mul_(_LN2), None


class QuantSoftmax(nn.Module):
    """Int-2^n-Softmax (PackQViT, section 3.2) in the form of ``docs/ops.md``."""

    def __init__(self, log2: bool) -> None:
        """Set the form of the weights: powers of two, or uniform."""
        super().__init__()
        self.log2 = log2

    def forward(
        self, logits: Sums, bias: Tensor | None = None, excluded: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attention weights, quantized relative to each row's maximum.

        Args:
            logits: in log2 units, [..., N].
            bias: in log2 units, broadcast against them; it is rounded as the op's constant.
            excluded: boolean, broadcast against them: places left out, of weight 0.

        Returns:
            The op's weights, float32 [..., N], whole numbers; and the same divided by their
            sum, with the gradient of 2^z / sum(2^z) at the quantized weights.
        """
        z = logits.real if bias is None else logits.real + bias
        if not rounds():
            kept = z if excluded is None else z.masked_fill(excluded, -math.inf)
            soft = torch.softmax(kept * _LN2, -1)
            return soft, soft
        with torch.no_grad():
            weights = self._weights(logits, bias, excluded).to(z.dtype)
            attention = weights / weights.sum(-1, keepdim=True).clamp_min_(1)
        return weights, _SoftmaxFunction.apply(z, attention)

    def _weights(self, logits: Sums, bias: Tensor | None, excluded: Tensor | None) -> Tensor:
        codes = None
        if bias is not None:
            codes = exact.integers(self.bias_codes(bias, logits.unit), bias)
        return softmax_weights(logits.codes, *self.scale(logits.unit), self.log2, codes, excluded)

    def scale(self, unit: Tensor) -> tuple[int, int]:
        """The op's (shift, multiplier) for logits in multiples of ``unit``, float64 []."""
        return fixed_point.softmax_scale(unit.item())

    def bias_codes(self, bias: Tensor, unit: Tensor) -> NDArray[np.int16]:
        """The op's constant for ``bias`` in log2 units.

        Where it does not hold them, rows end at 0, as only differences count, and begin where a
        place is left no weight.
        """
        multiplier, values = self.scale(unit)[1], exact.array(bias)
        least, largest = fixed_point.softmax_biases(multiplier)
        if values.min() < least or values.max() > largest:
            values = np.maximum(values - values.max(-1, keepdims=True), _NO_WEIGHT)
        return fixed_point.softmax_bias(values, multiplier)
