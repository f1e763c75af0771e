"""Bars with the time left on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import math
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


class StatusConsole(PlainConsole):
    """Where progress goes; results go to standard output.

    Attributes:
        verbose: whether each step of a stage has a line.
    """

    verbose = False


status = StatusConsole(stderr=True)

_SHORT = 3.0
"""Seconds that nobody needs to be told of."""
_INTERVAL = 10.0
"""Seconds between two lines."""


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
