"""Threads that make sessions, run them and let them go, while memory stays what it was."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pqv_onnx.runtime.session import InferenceSession

_RUNS_OF_A_SESSION = 50
_ROUNDS = 10


@dataclass(frozen=True)
class Soak:
    """What a soak found.

    Attributes:
        memory: resident MB after each tenth of the runs.
        differences: runs whose output was not that of the first.
    """

    memory: list[float]
    differences: int


def resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def soak(model: Path, threads: int, runs: int) -> Soak:
    """Run a model of float images ``runs`` times on each thread, in sessions of its own."""
    first = InferenceSession(model)
    read = first.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in read.shape]
    inputs = {read.name: np.random.default_rng(0).standard_normal(shape, np.float32)}
    (expected, *_) = first.run(None, inputs)

    def work(count: int) -> int:
        differences = 0
        for begin in range(0, count, _RUNS_OF_A_SESSION):
            session = InferenceSession(model)
            for _ in range(min(_RUNS_OF_A_SESSION, count - begin)):
                (found, *_rest) = session.run(None, inputs)
                differences += not np.array_equal(found, expected)
        return differences

    memory, differences = [], 0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            differences += sum(pool.map(work, [runs // _ROUNDS] * threads))
            memory.append(resident())
    return Soak(memory, differences)
