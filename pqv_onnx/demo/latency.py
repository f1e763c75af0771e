"""Latency of models side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pqv_onnx import InferenceSession
from pqv_onnx.runtime.session import session_options


def median_latencies(paths: Sequence[Path], image: np.ndarray, runs: int) -> list[float]:
    """Median time of one inference of each model, in milliseconds, on one thread.

    The models take turns, so that whatever else the machine does meets all of them.

    Args:
        paths: exported models with one input.
        image: the input of each, of batch 1.
        runs: how often each model is timed, after a tenth as many runs for warming up.
    """
    sessions = [InferenceSession(path, session_options(threads=1)) for path in paths]
    times: list[list[float]] = [[] for _ in sessions]
    warmup = max(runs // 10, 1)
    for turn in range(warmup + runs):
        for session, measured in zip(sessions, times, strict=True):
            feeds = {session.get_inputs()[0].name: image}
            start = time.perf_counter()
            session.run(None, feeds)
            if turn >= warmup:
                measured.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(measured) for measured in times]
