"""Bars with the time left on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from pqv_onnx.cli.options import PlainConsole
from pqv_onnx.errors import PqvError

_SHORT = 3.0
"""Seconds that nobody needs to be told of."""
_INTERVAL = 10.0
"""Seconds between two lines."""


class StatusConsole(PlainConsole):
    """Where progress goes; results go to standard output.

    Attributes:
        verbose: whether each step of a stage has a line.
    """

    verbose = False

    def working(self, on: str) -> AbstractContextManager[object]:
        """Show that something of no known length is done: a spinner, or lines if it is long."""
        return self.status(on) if self.is_terminal else self._lines(on)

    @contextmanager
    def _lines(self, on: str) -> Iterator[None]:
        started, timer = self.get_time(), threading.Timer(_SHORT, self._say, [on])
        timer.daemon = True  # a process that has to end does not wait for it
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
        if (elapsed := self.get_time() - started) > _SHORT:
            self.print(f"{on}: done in {_clock(elapsed)}")

    def _say(self, line: str) -> None:
        with suppress(PqvError, OSError):  # whoever prints next on a closed stderr is told
            self.print(line)


status = StatusConsole(stderr=True)


class Bars(Progress):
    """A bar for each stage of some work."""

    def __init__(self, visible: bool = True) -> None:
        """Show bars on a terminal, write lines elsewhere; nothing if not ``visible``."""
        self._steps = visible and status.verbose
        self._lines = visible and not status.is_terminal and not self._steps
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
        )
        hidden = not visible or not status.is_terminal
        super().__init__(*columns, TimeRemainingColumn(), console=status, disable=hidden)
        self._stages: dict[str, TaskID] = {}
        self._said: dict[TaskID, float] = {}

    def stage(self, name: str, done: float, total: float) -> None:
        """Show how far a stage is, as `pqv_onnx.progress.Progress` has it."""
        if name not in self._stages:
            self._stages[name] = self.add_task(name, total=total)
        self.update(self._stages[name], completed=done, total=total)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task, and say so if it is time to."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, and say so if it is time to."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        task, now = self.tasks[self.task_ids.index(task_id)], self.get_time()
        if self._steps and task.total:
            status.print(f"{task.description}: {task.completed:g} of {task.total:g}")
        if not self._lines:
            return
        said, elapsed = self._said.get(task_id), task.elapsed or 0.0
        long = elapsed > _SHORT if said is None else now - said >= _INTERVAL
        if task.finished and said != math.inf:
            self._said[task_id] = math.inf
            if said is not None or long:
                status.print(f"{task.description}: done in {_clock(elapsed)}")
        elif long and not task.finished:
            self._said[task_id] = now
            left = "" if task.time_remaining is None else f", {_clock(task.time_remaining)} left"
            status.print(f"{task.description}: {task.percentage:.0f}%{left}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
