"""Things that are timed in turns, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

RUNS_PER_TURN = 5
_MINIMUM_TURNS = 3


class Timed(Protocol):
    """Something that can be run and timed."""

    def time(self, runs: int) -> list[float]:
        """Run ``runs`` times in a row; the time of each run, in seconds."""
        ...


def take_turns(
    timed: Sequence[Timed],
    *,
    warmup: int,
    runs: int,
    pause: float = 0.0,
    limit: float | None = None,
) -> list[list[float]]:
    """Time several things side by side.

    Each turn is a few runs in a row, as users run a model, after one run that is not
    counted, because the others have taken the caches meanwhile.

    Args:
        timed: what to time.
        warmup: runs of each before the first turn.
        runs: counted runs of each.
        pause: seconds to wait before each turn. Threads of onnxruntime spin for some tens of
            milliseconds after a run, and would take a core from whoever is next.
        limit: seconds after which no new round of turns begins, once there were three; then
            there are fewer runs than asked for, equally many of each.

    Returns:
        The times of each, in seconds, in the order of ``timed``.
    """
    times: list[list[float]] = [[] for _ in timed]
    for one in timed:
        one.time(warmup)
    start = time.perf_counter()
    turn_lengths = _split(runs)
    for turn, length in enumerate(turn_lengths):
        if limit is not None and turn >= _MINIMUM_TURNS and time.perf_counter() - start > limit:
            break
        for one, measured in zip(timed, times, strict=True):
            time.sleep(pause)
            measured += one.time(1 + length)[1:]
    return times


def _split(runs: int) -> list[int]:
    """Turn lengths whose sum is ``runs``: equal ones, and at least three turns if possible."""
    turns = min(runs, max(-(-runs // RUNS_PER_TURN), _MINIMUM_TURNS))
    return [runs // turns + (turn < runs % turns) for turn in range(turns)]


def spin_pause(threads: int) -> float:
    """A pause for `take_turns` that outlasts the spinning of onnxruntime's threads."""
    return 0.0 if threads == 1 else 0.1
