"""Medians and ratios of measured times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Times of one thing: median, 10th and 90th percentile, all in milliseconds."""

    median: float
    p10: float
    p90: float
    runs: int


def summarize(seconds: Sequence[float]) -> Summary:
    """Summarise measured times.

    Args:
        seconds: one time per run, at least one.
    """
    p10, median, p90 = 1e3 * np.quantile(np.asarray(seconds, np.float64), (0.1, 0.5, 0.9))
    return Summary(float(median), float(p10), float(p90), len(seconds))


def ratio(seconds: Sequence[float], base: Sequence[float]) -> float:
    """Median of ``seconds`` over the median of ``base``: how many times as long it takes."""
    return float(np.median(seconds) / np.median(base))
