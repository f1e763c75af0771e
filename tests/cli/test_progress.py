"""Progress off a terminal: a line at times, none of what is quick."""

from __future__ import annotations

import io
import time

import pytest
from rich.table import Table

from pqv_onnx.cli import progress
from pqv_onnx.cli.options import PlainConsole
from pqv_onnx.cli.progress import Bars, StatusConsole


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    console = StatusConsole(file=io.StringIO(), get_time=made, width=100)
    monkeypatch.setattr(progress, "status", console)
    return made


def lines() -> list[str]:
    file = progress.status.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def run(clock: Clock, seconds: list[float], visible: bool = True) -> list[str]:
    with Bars(visible) as bars:
        for step, now in enumerate(seconds):
            clock.now = now
            bars.stage("calibrating", step, len(seconds) - 1)
    return lines()


def test_a_line_at_times(clock: Clock) -> None:
    first, second, last = run(clock, [0, 2, 5, 9, 15.5, 20])
    assert first.startswith("calibrating: 40%, 0:0") and first.endswith(" left")
    assert second.startswith("calibrating: 80%, 0:0")
    assert last == "calibrating: done in 0:20"


def test_what_is_quick_and_what_is_not_to_be_seen(clock: Clock) -> None:
    assert run(clock, [0, 1, 2]) == []
    assert run(clock, [0, 9, 30], visible=False) == []


def test_one_long_step(clock: Clock) -> None:
    assert run(clock, [0, 75]) == ["calibrating: done in 1:15"]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        progress, "status", StatusConsole(file=file, force_terminal=True, width=100)
    )
    with Bars() as bars:
        bars.stage("calibrating", 1, 2)
    assert "calibrating" in file.getvalue() and "50%" in file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_for_each_step(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    file = io.StringIO()
    console = StatusConsole(file=file, force_terminal=terminal, width=100)
    console.verbose = True
    monkeypatch.setattr(progress, "status", console)
    with Bars() as bars:
        for step in range(3):
            bars.stage("calibrating", step, 2)
    found = file.getvalue()
    assert all(f"calibrating: {step} of 2\n" in found for step in range(3))
    assert "0:00" in found if terminal else found.count("\n") == 3


def test_a_line_about_long_work_of_no_known_length(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.status.working("exporting"):
        clock.now = 2
    assert lines() == []
    monkeypatch.setattr(progress, "_SHORT", 0.0)
    with progress.status.working("exporting"):
        for _ in range(6000):  # the line comes by itself
            if lines():
                break
            time.sleep(0.01)
        clock.now = 77
    assert lines() == ["exporting", "exporting: done in 1:15"]


def test_tables_off_a_terminal_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    table = Table("x" * 90, "y" * 90)
    PlainConsole(file=file).print(table)
    assert "x" * 90 in file.getvalue() and "y" * 90 in file.getvalue()
    monkeypatch.setenv("COLUMNS", "80")
    assert PlainConsole(file=file).width == 80
