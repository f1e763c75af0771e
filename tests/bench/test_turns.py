from __future__ import annotations

import time

import pytest

from pqv_onnx.bench.turns import take_turns


class Recorder:
    """Counts its runs from 0 and notes when it was called."""

    def __init__(self, name: str, log: list[tuple[str, int]]) -> None:
        self.name, self.log, self.count = name, log, 0

    def time(self, runs: int) -> list[float]:
        self.log.append((self.name, runs))
        self.count += runs
        return [float(index) for index in range(self.count - runs, self.count)]


@pytest.mark.parametrize("runs", [1, 2, 3, 7, 10, 23])
def test_everyone_gets_as_many_runs_in_turns(runs: int) -> None:
    log: list[tuple[str, int]] = []
    times = take_turns([Recorder("a", log), Recorder("b", log)], warmup=2, runs=runs)
    assert [len(one) for one in times] == [runs, runs]
    assert log[:2] == [("a", 2), ("b", 2)]
    turns = log[2:]
    assert [name for name, _ in turns] == ["a", "b"] * (len(turns) // 2)
    assert len(turns) // 2 >= min(runs, 3)


def test_the_first_run_of_a_turn_is_not_counted() -> None:
    (times,) = take_turns([Recorder("a", [])], warmup=1, runs=3)
    assert times == [2.0, 4.0, 6.0]


def test_a_limit_leaves_three_rounds() -> None:
    class Slow(Recorder):
        def time(self, runs: int) -> list[float]:
            time.sleep(0.001)
            return super().time(runs)

    times = take_turns([Slow("a", []), Slow("b", [])], warmup=1, runs=500, limit=0.0)
    assert [len(one) for one in times] == [15, 15]
