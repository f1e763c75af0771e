"""Quantizers with learned steps (LSQ, Esser et al., ICLR 2020) and straight-through rounding.

A quantizer maps a float tensor to the nearest multiples of its step within a range of codes.
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
from pqv_onnx.ops.domain import FRACTION_BITS, MAX_EXPONENT
from pqv_onnx.qat.imitation import straight_through
from pqv_onnx.qat.step_search import INITIALIZATIONS, Observed, search_exponents
from pqv_onnx.spec import TensorSpec

GELU_MINIMUM = 0.16997121
"""The GELU's smallest value, negated."""


_NARROW_OFFSET = 0.5 + 2.0 ** -(FRACTION_BITS + 1)
"""The ops round to 6 fraction bits first and then up from a half: a tie is 1/64 of a step wide."""


def _round(scaled: Tensor, narrow: bool) -> Tensor:
    return (scaled + _NARROW_OFFSET).floor_() if narrow else scaled.round()


class _LsqFunction(torch.autograd.Function):
    """clamp(round(x / step), lo, hi) * step with the gradients of LSQ, section 2.1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, lo: int, hi: int, narrow: bool) -> Tensor:
        scaled = x / step
        clamped = scaled.clamp(lo, hi)
        codes = _round(clamped, narrow)
        # 1 inside of the range, 0 outside: on a CPU a product takes half the time of a choice.
        inside = torch.eq(clamped, scaled, out=scaled)
        slope = torch.addcmul(codes, clamped, inside, value=-1)
        ctx.save_for_backward(inside, slope)
        ctx.step_shape = step.shape
        ctx.scale = 1.0 / math.sqrt(max(x.numel() / step.numel() * max(hi, -lo), 1))
        return codes * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        inside, slope = ctx.saved_tensors
        grad_x = grads[0] * inside
        if ctx.step_shape:
            grad_step = (grads[0] * slope).sum_to_size(ctx.step_shape)
        else:
            grad_step = torch.dot(grads[0].flatten(), slope.flatten())
        return grad_x, grad_step * ctx.scale, None, None, None


def lsq(x: Tensor, step: Tensor, lo: int, hi: int, narrow: bool = False) -> Tensor:
    """Quantize ``x`` to multiples of ``step`` in [lo * step, hi * step].

    Args:
        x: float tensor.
        step: positive float tensor that broadcasts to ``x``.
        lo: smallest code.
        hi: largest code.
        narrow: round as ``narrow`` of ``docs/ops.md`` does, not to the nearest.

    Returns:
        Float tensor like ``x``. The gradient passes to ``x`` where it lies in the range; that of
        a step is scaled by 1 / sqrt(numel * max(hi, -lo)), numel the elements that share it.
    """
    out: Tensor = _LsqFunction.apply(x, step, lo, hi, narrow)
    return out


class Quantizer(nn.Module):
    """Base of all quantizers: a learned step of shape [] or [channels, 1].

    Attributes:
        narrow: whether an op rounds this tensor at run time; else it is rounded to the nearest.
        sampled: elements of each row (see ``rows``) that a step is chosen by.
        observer: called with the input before it is quantized, if there is one.
    """

    narrow = False
    sampled = 1 << 16
    observer: Callable[[Tensor], None] | None = None

    def __init__(self, bits: int, lo: int, hi: int, shape: tuple[int, ...] = ()) -> None:
        """Create an uncalibrated quantizer for codes in [lo, hi]."""
        super().__init__()
        self.bits, self.lo, self.hi = bits, lo, hi
        self.log_step = nn.Parameter(torch.full(shape, math.nan))

    @property
    def step(self) -> Tensor:
        """The real value of one code."""
        return self.log_step.exp()

    @property
    def channel_step(self) -> Tensor:
        """The step of each channel, or the one step of all."""
        return self.step

    @property
    def zero_point(self) -> int:
        """The stored code that stands for zero."""
        return 0

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
        """Choose the step: of least squared error, or as ``INITIALIZATIONS`` says."""
        self.set_step(INITIALIZATIONS[initialization](seen, self.lo, self.hi).reshape(()))

    def calibrate(self, x: Tensor, initialization: str = "search") -> None:
        """Choose the step for the data ``x``; raises PqvError if they are not finite."""
        self.choose(self.observe(x), initialization)

    def forward(self, x: Tensor, op: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return ``x`` rounded to codes times step.

        Args:
            x: float tensor.
            op: gives what the integer op has in place of ``x`` when it narrows, for the
                ``channel_step`` of the output (see ``imitation``).
        """
        if self.observer is not None:
            self.observer(x)
        if op is not None:
            x = straight_through(x, op(self.channel_step))
        return self.quantize(x)

    def quantize(self, x: Tensor) -> Tensor:
        """Return ``x`` rounded to codes times step."""
        return lsq(x, self.step, self.lo, self.hi, self.narrow)

    def codes(self, x: Tensor) -> Tensor:
        """Return the integer codes (int64) of ``x``."""
        return _round(x / self.step, self.narrow).clamp(self.lo, self.hi).long()


class ActivationQuantizer(Quantizer):
    """Symmetric, per tensor: codes in [-2^(bits-1), 2^(bits-1) - 1]."""

    def __init__(self, bits: int, narrow: bool = True) -> None:
        """Create an uncalibrated quantizer of 4 or 8 bits."""
        super().__init__(bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        self.narrow = narrow


class WeightQuantizer(Quantizer):
    """Symmetric, per output channel (rows): codes in [-(2^(bits-1) - 1), 2^(bits-1) - 1]."""

    def __init__(self, bits: int, channels: int) -> None:
        """Create an uncalibrated quantizer for a [channels, K] matrix."""
        limit = 2 ** (bits - 1) - 1
        super().__init__(bits, -limit, limit, (channels, 1))

    def rows(self, x: Tensor) -> Tensor:
        """The output channels."""
        return x

    def choose(self, seen: Observed, initialization: str = "search") -> None:
        """Choose the steps; rows near zero borrow from the others."""
        step = INITIALIZATIONS[initialization](seen, self.lo, self.hi).unsqueeze(1)
        self.set_step(step.clamp_min(step.mean() * 1e-3))


class GeluQuantizer(Quantizer):
    """Asymmetric, for the GELU's output: 2^bits codes upward from about the GELU's minimum.

    The lower end is fixed by the minimum and the learned step, so zero is a code of its own.
    """

    def __init__(self, bits: int) -> None:
        """Create an uncalibrated quantizer of 4 or 8 bits."""
        super().__init__(bits, 0, 2**bits - 1)

    def _lowest(self, step: float) -> int:
        if not step > 0:
            raise PqvError(f"a GELU's step is {step}: calibrate the model first")
        return -min(round(GELU_MINIMUM / step), 2 ** (self.bits - 1))

    @property
    def zero_point(self) -> int:
        """The stored code that stands for zero."""
        return -self._lowest(self.step.item()) - 2 ** (self.bits - 1)

    def choose(self, seen: Observed, initialization: str = "search") -> None:
        """Choose the step."""
        self.set_step(INITIALIZATIONS[initialization](seen, self._lowest, self.hi).reshape(()))

    def quantize(self, x: Tensor) -> Tensor:
        """Return ``x`` rounded to codes times step."""
        step = self.step
        lowest = self._lowest(step.item())
        return lsq(x, step, lowest, lowest + self.hi)

    def codes(self, x: Tensor) -> Tensor:
        """Return the stored codes (int64, zero point included) of ``x``."""
        lowest = self._lowest(self.step.item())
        codes = (x / self.step).round().clamp(lowest, lowest + self.hi).long()
        return codes + self.zero_point


class ResidualQuantizer(Quantizer):
    """The residual stream: 8 bits, step * 2^exponent per channel (PackQViT, section 3.3).

    The exponents are chosen once, at calibration, so that outlier channels get a larger step.

    Attributes:
        exponent: int8 [channels].
        max_exponent: the largest; 0 if one step is for all channels.
    """

    exponent: Tensor
    narrow = True
    sampled = 512

    def __init__(self, spec: TensorSpec, channels: int) -> None:
        """Create an uncalibrated quantizer for [..., channels]."""
        super().__init__(spec.bits, -(2 ** (spec.bits - 1)), 2 ** (spec.bits - 1) - 1)
        self.max_exponent = MAX_EXPONENT if spec.scheme == "power-of-two" else 0
        self.register_buffer("exponent", torch.zeros(channels, dtype=torch.int8))

    @property
    def channel_step(self) -> Tensor:
        """The real value of one code in each channel, [channels]."""
        return self.step * torch.exp2(self.exponent.float())

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
            step = INITIALIZATIONS[initialization](level, self.lo, self.hi).squeeze(0)
        self.set_step(step)
        self.exponent.copy_(exponent)

    def quantize(self, x: Tensor) -> Tensor:
        """Return ``x`` rounded to codes times each channel's step."""
        return lsq(x, self.channel_step, self.lo, self.hi, self.narrow)

    def codes(self, x: Tensor) -> Tensor:
        """Return the integer codes (int64) of ``x``."""
        return _round(x / self.channel_step, self.narrow).clamp(self.lo, self.hi).long()
