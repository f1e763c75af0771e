"""Initial quantization steps by search for the least squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pqv_onnx.errors import PqvError

_SMALLEST_STEP = 1e-6
"""Floor of any step: a constant zero tensor still needs one."""
MANY_CODES = 64
"""With as many codes nothing is clipped: one value in a million may be what attention lives on."""


Range = Callable[[Tensor], tuple[Any, Any]]
"""From a step to the smallest and the largest code, each an int, or a tensor [rows]."""


@dataclass(frozen=True)
class Observed:
    """What a search knows of a tensor's rows.

    Attributes:
        sample: some of the elements, [rows, elements].
        low: the smallest of all elements, [rows].
        high: the largest of all elements, [rows].
    """

    sample: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, x: Tensor, elements: float) -> Observed:
        """Keep about ``elements`` of each row of ``x`` [rows, elements].

        Raises:
            PqvError: there are none, or not all are finite.
        """
        if x.numel() == 0:
            raise PqvError("calibration: a quantizer saw no data, expected at least one image")
        low, high = x.aminmax(dim=1)
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise PqvError(
                "calibration: a quantizer saw NaN or infinite values, expected finite data"
            )
        stride = int(x.shape[1] / max(elements, 1))
        # An odd stride visits every channel of a flattened tensor.
        return cls(x[:, :: stride | 1].clone(), low, high)

    @classmethod
    def join(cls, parts: Sequence[Observed]) -> Observed:
        """What was seen of several parts of a tensor."""
        return cls(
            torch.cat([part.sample for part in parts], 1),
            torch.stack([part.low for part in parts]).amin(0),
            torch.stack([part.high for part in parts]).amax(0),
        )

    @property
    def largest(self) -> Tensor:
        """The largest magnitudes, [rows]."""
        return torch.maximum(self.high, -self.low)


def search_step(seen: Observed, range_of: Range, hi: int, shared: bool) -> Tensor:
    """Return for each row the step of least squared error, or at 8 bits that of the whole range.

    Args:
        seen: of a float tensor.
        range_of: the codes of a step.
        hi: largest code, if none is below zero.
        shared: whether all rows have one step.

    Returns:
        Steps, [rows], or of all rows, [1].
    """
    # A little more, or rounding would put the largest value outside of the range.
    full = (1.00001 * seen.largest / hi).clamp_min(_SMALLEST_STEP)
    if shared:
        full = full.amax(0, keepdim=True)
        while not _spans(full, *_columns(range_of, full), seen):
            full = full * 1.01  # codes below zero shorten the upper end
    if hi >= MANY_CODES:
        return full
    fractions = torch.linspace(0.2, 1.0, 33)
    best_step, best_error = full, torch.full_like(full, torch.inf)
    for fraction in fractions.tolist():
        step = full * fraction
        codes = (seen.sample / step[:, None]).round_().clamp_(*_columns(range_of, step))
        error = codes.mul_(step[:, None]).sub_(seen.sample).square_().sum(1)
        if shared:
            error = error.sum(0, keepdim=True)
        better = error < best_error
        best_step = torch.where(better, step, best_step)
        best_error = torch.where(better, error, best_error)
    return best_step.clamp_min(_SMALLEST_STEP)


def _columns(range_of: Range, step: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest code of a step, [rows, 1] or [1]."""
    lo, hi = (torch.as_tensor(bound, device=step.device) for bound in range_of(step))
    return lo[..., None], hi[..., None]


def _spans(step: Tensor, lo: Tensor, hi: Tensor, seen: Observed) -> bool:
    """Whether codes reach all values, to half a step below."""
    above, below = hi * step < seen.high[:, None], (lo - 0.5) * step > seen.low[:, None]
    return not bool((above | below).any())


def lsq_step(seen: Observed, _range_of: Range, hi: int, shared: bool) -> Tensor:
    """Return for each row 2 * mean(|x|) / sqrt(hi), the first step of LSQ (section 2.1).

    Args:
        seen: of a float tensor.
        hi: largest code.
        shared: whether all rows have one step.
    """
    means = seen.sample.abs().mean(1)
    means = means.mean(0, keepdim=True) if shared else means
    return (2 * means / math.sqrt(hi)).clamp_min(_SMALLEST_STEP)


INITIALIZATIONS = {"search": search_step, "lsq": lsq_step}
"""How the first step of a quantizer is found, by the names of recipes."""


def search_exponents(seen: Observed, hi: int, max_exponent: int) -> tuple[Tensor, Tensor]:
    """Return the step and the exponents of least squared error for a residual stream.

    For each candidate step a channel gets the smallest exponent that holds its range.

    Args:
        seen: of the channels, the tokens being their elements.
        hi: largest code.
        max_exponent: largest exponent.

    Returns:
        The step, [], and the exponents, int8 [channels].
    """
    ranges = seen.largest.clamp_min(_SMALLEST_STEP)
    smallest = ranges.amax() / (hi * 2**max_exponent)
    best: tuple[Tensor, Tensor] | None = None
    best_error = torch.inf
    for factor in (1.0, 1.2, 1.4, 1.7, 2.0):
        step = (smallest * factor).clamp_min(_SMALLEST_STEP)
        exponent = (ranges / (hi * step)).log2().ceil().clamp(0, max_exponent)
        channel_step = (step * exponent.exp2()).unsqueeze(1)
        codes = (seen.sample / channel_step).round().clamp(-hi - 1, hi)
        error = float((codes * channel_step - seen.sample).square().sum())
        if error < best_error:
            best, best_error = (step, exponent.to(torch.int8)), error
    assert best is not None
    step, exponent = best
    return step * 2.0 ** exponent.amin(), exponent - exponent.amin()
