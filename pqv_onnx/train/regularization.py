"""Penalties of the training loss that make a quantized model settle."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.train.recipe import Regularization


def residual_excess(x: Tensor, quantizer: ResidualQuantizer) -> Tensor:
    """How far a residual stream reaches beyond its codes (PackQViT, section 3.3).

    Args:
        x: the stream before its quantization, [..., channels].
        quantizer: of the stream; its steps are constants here, so that only ``x`` moves.

    Returns:
        The mean square of the part beyond the range, in codes, [].
    """
    codes = x.float() / quantizer.channel_step.detach().float()
    return (codes - codes.clamp(quantizer.lo, quantizer.hi)).square().mean()


def dampening(linear: QuantLinear) -> Tensor:
    """The squared distance of weights from the middle of their code's bin.

    A weight near the border of two codes changes sides with every other update and may stop on
    the wrong one. Nagel et al., ICML 2022, section 4.2; a clipped weight costs nothing.

    Returns:
        The sum over the weights, [].
    """
    quantizer, weight = linear.quantizer, linear.weight.float()
    step = quantizer.step.detach().float()
    clipped = torch.maximum(torch.minimum(weight, quantizer.hi * step), quantizer.lo * step)
    return (quantizer.quantize(weight).detach() - clipped).square().sum()


class Regularizer:
    """The penalties of a recipe on one model."""

    def __init__(self, options: Regularization, model: QuantModel) -> None:
        """Watch the residual streams of ``model`` if their penalty has a weight."""
        self.options = options
        self._linears = [m for m in model.modules() if isinstance(m, QuantLinear)]
        self._excess: list[Tensor] = []
        if options.residual:
            for module in model.modules():
                if isinstance(module, ResidualQuantizer):
                    module.register_forward_pre_hook(self._see)

    def _see(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(module, ResidualQuantizer)
        self._excess.append(residual_excess(inputs[0], module))

    def __call__(self, done: float) -> Tensor | float:
        """The penalty of the forward pass since the last call.

        Args:
            done: share of the training that is over, in [0, 1]; the dampening grows with it
                from 0 to its weight, by half a cosine.
        """
        penalty: Tensor | float = 0.0
        if self.options.residual:
            excess, self._excess = self._excess, []
            penalty = self.options.residual * torch.stack(excess).mean()
        if self.options.oscillation:
            weight = self.options.oscillation * (1 - math.cos(math.pi * done)) / 2
            penalty = penalty + weight * torch.stack([dampening(m) for m in self._linears]).sum()
        return penalty
