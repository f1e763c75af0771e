"""Quantizers with learned steps (LSQ, Esser et al., ICLR 2020) and straight-through rounding.

A quantizer maps a float tensor to multiples of its step within a range of codes: to the nearest, or
where an op of ``docs/ops.md`` narrows, as that op does.
Steps are stored as logarithms: they stay positive, and an optimizer's step size is relative.
An uncalibrated step is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import MAX_EXPONENT
from pqv_onnx.qat.exact import rounds
from pqv_onnx.qat.step_search import INITIALIZATIONS, Observed, search_exponents
from pqv_onnx.spec import TensorSpec

GELU_MINIMUM = 0.16997121
"""The GELU's smallest value, negated."""
GROUPS = 4
"""Groups of a GELU's channels; each has a table of its own."""
GELU_FLAT = 4.0
"""The GELU of anything below this, negated, is within 1.3e-4 of zero."""


Bound = Any
"""An int for all channels, or int64 [channels]."""


class _LsqFunction(torch.autograd.Function):
    """codes * step with the gradients of LSQ, section 2.1, for x / step = ``scaled``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, step: Tensor, scaled: Tensor, codes: Tensor, lo: Bound, hi: Bound
    ) -> Tensor:
        if any(ctx.needs_input_grad):
            clamped = scaled.clamp(lo, hi)
            # 1 inside of the range, 0 outside: on a CPU a product takes half the time of a choice.
            inside = (clamped == scaled).to(x.dtype)
            ctx.save_for_backward(inside, torch.addcmul(codes, clamped, inside, value=-1))
            ctx.step_shape = step.shape
            largest = max(int(torch.as_tensor(hi).max()), -int(torch.as_tensor(lo).min()))
            ctx.scale = 1.0 / math.sqrt(max(x.numel() / step.numel() * largest, 1))
        return codes * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inside, slope = ctx.saved_tensors
        grad_x = grads[0] * inside
        if ctx.step_shape:
            grad_step = (grads[0] * slope).sum_to_size(ctx.step_shape)
        else:
            grad_step = torch.dot(grads[0].flatten(), slope.flatten())
        return grad_x, grad_step * ctx.scale, None, None, None, None


def lsq(
    x: Tensor, step: Tensor, bounds: tuple[Bound, Bound], scaled: Tensor, rounded: Tensor
) -> Tensor:
    """Quantize ``x`` to codes of ``step``.

    Args:
        x: float tensor.
        step: positive float tensor that broadcasts to ``x``.
        bounds: smallest and largest code.
        scaled: x / step, float.
        rounded: the same rounded; it is clamped in place.

    Returns:
        Float tensor like ``x``. The gradient passes to ``x`` where ``scaled`` lies in the range;
        that of a step is scaled by 1 / sqrt(numel * max(hi, -lo)), numel the elements that
        share it.
    """
    codes = rounded.clamp_(*bounds)
    out: Tensor = _LsqFunction.apply(x, step.to(x.dtype), scaled, codes, *bounds)
    return out


class Quantizer(nn.Module):
    """Base of all quantizers: a learned step of shape [] or [channels, 1].

    Attributes:
        sampled: elements of each row (see ``rows``) that a step is chosen by.
    """

    __call__: Callable[..., Tensor]
    sampled = 1 << 16

    def __init__(self, bits: int, lo: int, hi: int, shape: tuple[int, ...] = ()) -> None:
        """Create an uncalibrated quantizer for codes in [lo, hi]."""
        super().__init__()
        self.bits, self.lo, self.hi = bits, lo, hi
        self.log_step = nn.Parameter(torch.full(shape, math.nan))

    @property
    def step(self) -> Tensor:
        """The real value of one code, float64."""
        return self.log_step.double().exp()

    @property
    def channel_step(self) -> Tensor:
        """The step of each channel, or the one step of all, float64."""
        return self.step

    def range_of(self, step: Tensor) -> tuple[Bound, Bound]:
        """The smallest and the largest multiple of a step, of one or of each group of channels."""
        return self.lo, self.hi

    @property
    def bounds(self) -> tuple[Bound, Bound]:
        """Those of the quantizer's step, of all channels or of each."""
        lo, hi = self.range_of(self.step)
        return self.by_channel(lo), self.by_channel(hi)

    @property
    def zero_point(self) -> Bound:
        """The stored code that stands for zero."""
        return 0

    def by_channel(self, groups: Any) -> Any:
        """What the last axis has for each group of channels, which is one, for all of them."""
        return groups

    def set_step(self, step: Tensor) -> None:
        """Set the step from a positive float tensor of the parameter's shape."""
        with torch.no_grad():
            self.log_step.copy_(step.log())

    def rows(self, x: Tensor) -> Tensor:
        """``x`` as [rows, elements], a row for each step or range."""
        return x.reshape(1, -1)

    def observe(self, x: Tensor, share: float = 1.0) -> Observed:
        """What the choice of a step needs to know of ``x``, which is a ``share`` of the data.

        Raises:
            PqvError: ``x`` is empty or not finite.
        """
        return Observed.of(self.rows(x.detach()), self.sampled * share)

    def choose(self, seen: Observed, initialization: str = "search") -> None:
        """Choose the step, as ``INITIALIZATIONS`` says; rows near zero borrow from the others."""
        shape = self.log_step.shape
        step = INITIALIZATIONS[initialization](seen, self.range_of, self.hi, not shape)
        step = step.reshape(shape)
        self.set_step(step.clamp_min(step.mean() * 1e-3))

    def calibrate(self, x: Tensor, initialization: str = "search") -> None:
        """Choose the step for the data ``x``; raises PqvError if they are not finite."""
        self.choose(self.observe(x), initialization)

    def forward(self, x: Tensor, op: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return ``x`` rounded to codes times step.

        Args:
            x: float tensor.
            op: gives what the integer op narrows in place of ``x``, in the ``channel_step``
                that it is called with (see ``exact``); without it ``x`` is rounded to the
                nearest.
        """
        if not rounds():
            return x
        x = x.float()  # mixed precision has no room for codes
        if op is None:
            return self.quantize(x)
        with torch.no_grad():
            scaled = op(self.channel_step.detach())
            rounded = (scaled + 0.5).floor_()  # as the ops do
        return lsq(x, self.channel_step, self.bounds, scaled, rounded)

    def quantize(self, x: Tensor) -> Tensor:
        """Return ``x`` rounded to the nearest codes, times step.

        Raises:
            PqvError: there is no step yet.
        """
        step = self.channel_step.detach().to(x.dtype)
        if not bool((step > 0).all()):
            raise PqvError("a quantizer has no positive step: calibrate the model first")
        scaled = x.detach() / step
        return lsq(x, self.channel_step, self.bounds, scaled, scaled.round())

    def codes(self, x: Tensor) -> Tensor:
        """The nearest multiples of the step, int64, in float64: constants of ops."""
        return (
            (x.detach().double() / self.channel_step.detach()).round_().clamp_(*self.bounds).long()
        )


class ActivationQuantizer(Quantizer):
    """Symmetric, per tensor: codes in [-2^(bits-1), 2^(bits-1) - 1]."""

    def __init__(self, bits: int) -> None:
        """Create an uncalibrated quantizer of 4, 7 or 8 bits."""
        super().__init__(bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


class WeightQuantizer(Quantizer):
    """Symmetric, per output channel (rows): codes in [-(2^(bits-1) - 1), 2^(bits-1) - 1]."""

    def __init__(self, bits: int, channels: int) -> None:
        """Create an uncalibrated quantizer for a [channels, K] matrix."""
        limit = 2 ** (bits - 1) - 1
        super().__init__(bits, -limit, limit, (channels, 1))

    def rows(self, x: Tensor) -> Tensor:
        """The output channels."""
        return x

    def quantize(self, x: Tensor) -> Tensor:
        """Return ``x`` rounded to codes times step."""
        scaled = x.detach().double() / self.step.detach()
        return lsq(x, self.step, self.bounds, scaled.to(x.dtype), scaled.round().to(x.dtype))


class AsymmetricQuantizer(Quantizer):
    """2^bits codes upward from a known depth below zero, around the GELU.

    The lower end is fixed by the depth and the learned step, so zero is a code of its own.

    Attributes:
        depth: what lies further below zero does not matter.
    """

    def __init__(self, bits: int, depth: float) -> None:
        """Create an uncalibrated quantizer of 4, 7 or 8 bits."""
        super().__init__(bits, 0, 2**bits - 1)
        self.depth = depth

    def _lowest(self, step: float) -> int:
        if not step > 0:
            raise PqvError(f"a GELU's step is {step}: calibrate the model first")
        return -min(round(self.depth / step), 2 ** (self.bits - 1))

    def range_of(self, step: Tensor) -> tuple[Bound, Bound]:
        """The smallest and the largest multiple of a step."""
        lowest = self._lowest(step.item())
        return lowest, lowest + self.hi

    @property
    def zero_point(self) -> Bound:
        """The stored code that stands for zero."""
        return -self.bounds[0] - 2 ** (self.bits - 1)

    def rows(self, x: Tensor) -> Tensor:
        """All elements, those below the depth raised to it."""
        return x.clamp_min(-self.depth).reshape(1, -1)


class GroupedQuantizer(AsymmetricQuantizer):
    """An asymmetric quantizer of what was divided by a ratio for each of some groups of channels.

    Attributes:
        ratio: float32 [groups], chosen once, at calibration.
    """

    ratio: Tensor
    sampled = AsymmetricQuantizer.sampled // GROUPS

    def __init__(self, bits: int, depth: float, channels: int) -> None:
        """Create an uncalibrated quantizer for [..., channels], a multiple of ``GROUPS``."""
        super().__init__(bits, depth)
        self.register_buffer("ratio", torch.ones(GROUPS))
        self._group_width = channels // GROUPS

    def range_of(self, step: Tensor) -> tuple[Bound, Bound]:
        """The smallest and the largest multiple of a step in each group, int64 [groups]."""
        every = [self._lowest(step.item() * ratio) for ratio in self.ratio.cpu().tolist()]
        lowest = torch.tensor(every, device=self.ratio.device)
        return lowest, lowest + self.hi

    def by_channel(self, groups: Tensor) -> Tensor:
        """What the last axis has for each group, for each of its channels."""
        return groups.repeat_interleave(self._group_width, -1)

    def rows(self, x: Tensor) -> Tensor:
        """The groups, what is below the depth raised to it."""
        groups = x.unflatten(-1, (GROUPS, -1)).movedim(-2, 0).flatten(1)
        return torch.maximum(groups, (-self.depth / self.ratio)[:, None])


class ResidualQuantizer(Quantizer):
    """The residual stream: 8 bits, step * 2^exponent per channel (PackQViT, section 3.3).

    The exponents are chosen once, at calibration, so that outlier channels get a larger step.

    Attributes:
        exponent: int8 [channels].
        max_exponent: the largest; 0 if one step is for all channels.
    """

    exponent: Tensor
    sampled = 512

    def __init__(self, spec: TensorSpec, channels: int) -> None:
        """Create an uncalibrated quantizer for [..., channels]."""
        super().__init__(spec.bits, -(2 ** (spec.bits - 1)), 2 ** (spec.bits - 1) - 1)
        self.max_exponent = 0 if spec.scheme == "per-tensor" else MAX_EXPONENT
        self.register_buffer("exponent", torch.zeros(channels, dtype=torch.int8))

    @property
    def channel_step(self) -> Tensor:
        """The real value of one code in each channel, float64 [channels]."""
        return self.step * torch.exp2(self.exponent.double())

    def rows(self, x: Tensor) -> Tensor:
        """The channels."""
        return x.reshape(-1, x.shape[-1]).T

    def choose(self, seen: Observed, initialization: str = "search") -> None:
        """Choose the exponents of least squared error, and their step or another."""
        step, exponent = search_exponents(seen, self.hi, self.max_exponent)
        if initialization != "search":
            level = Observed.of(
                (seen.sample / exponent.exp2().unsqueeze(1)).reshape(1, -1), math.inf
            )
            step = INITIALIZATIONS[initialization](level, self.range_of, self.hi, True).squeeze(0)
        self.set_step(step)
        self.exponent.copy_(exponent)
