"""Initial quantization steps by search for the least squared error."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_SAMPLE = 1 << 16
"""Elements of an activation that the search looks at; its extremes always count."""
_SMALLEST_STEP = 1e-6
"""Floor of any step: a constant zero tensor still needs one."""


def _subsample(rows: Tensor) -> Tensor:
    stride = max(rows.shape[1] // max(_SAMPLE // rows.shape[0], 4096), 1)
    # An odd stride visits every channel of a flattened tensor.
    return rows[:, :: stride | 1] if stride > 1 else rows


def search_step(x: Tensor, lo: int | Callable[[float], int], hi: int) -> Tensor:
    """Return for each row of ``x`` the step of least squared quantization error.

    Args:
        x: float tensor [rows, elements].
        lo: smallest code; or, for one row, a function from the step to it, and then codes
            reach up to ``lo(step) + hi``.
        hi: largest code.

    Returns:
        Steps, [rows].
    """
    full = x.abs().amax(1) / hi
    if callable(lo):
        # Codes below zero shorten the upper end, hence the margin.
        full = 1.1 * torch.maximum(x.amax(1) / hi, -x.amin(1) / ((hi + 1) // 2))
    full = full.clamp_min(_SMALLEST_STEP)
    sample = _subsample(x)
    # Clipping pays with few codes only; 8 bits need no fine search.
    fractions = torch.linspace(0.2, 1.0, 33) if hi < 64 else torch.linspace(0.5, 1.0, 6)
    best_step, best_error = full, torch.full_like(full, torch.inf)
    for fraction in fractions.tolist():
        step = full * fraction
        low, high = lo, hi
        if callable(low):
            low = low(float(step))
            high = low + hi
        codes = (sample / step[:, None]).round_().clamp_(low, high)
        error = codes.mul_(step[:, None]).sub_(sample).square_().sum(1)
        better = error < best_error
        best_step = torch.where(better, step, best_step)
        best_error = torch.where(better, error, best_error)
    return best_step.clamp_min(_SMALLEST_STEP)


def search_exponents(x: Tensor, hi: int, max_exponent: int) -> tuple[Tensor, Tensor]:
    """Return the step and the exponents of least squared error for a residual stream.

    For each candidate step a channel gets the smallest exponent that holds its range.

    Args:
        x: float tensor [tokens, channels].
        hi: largest code.
        max_exponent: largest exponent.

    Returns:
        The step, [], and the exponents, int8 [channels].
    """
    ranges = x.abs().amax(0).clamp_min(_SMALLEST_STEP)
    sample = x[:: max(x.shape[0] // 512, 1)]
    smallest = ranges.amax() / (hi * 2**max_exponent)
    best: tuple[Tensor, Tensor] | None = None
    best_error = torch.inf
    for factor in (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0):
        step = (smallest * factor).clamp_min(_SMALLEST_STEP)
        exponent = (ranges / (hi * step)).log2().ceil().clamp(0, max_exponent)
        channel_step = step * exponent.exp2()
        codes = (sample / channel_step).round().clamp(-hi - 1, hi)
        error = float((codes * channel_step - sample).square().sum())
        if error < best_error:
            best, best_error = (step, exponent.to(torch.int8)), error
    assert best is not None
    step, exponent = best
    return step * 2.0 ** exponent.amin(), exponent - exponent.amin()
