"""A disk that is full: a command whose files cannot be written says so, and gets through later.

The largest file that a process may write stands for the disk: each command runs with limits that
grow until it has what it needs, so that it is stopped at one write after the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.soak.commands import bases, run_in
from tests.soak.pool import valid

_LIMITS = (0, 100, 1000, 3000, *(10**4, 3 * 10**4, 10**5, 2 * 10**5, 3 * 10**5, 10**6, 10**9))
"""Bytes of a file."""


def stopped_writes(pool: Path) -> Iterator[tuple[str, str, str]]:
    """Command, bytes and outcome of each command with each limit up to the first that suffices.

    The outcome begins with ``!`` if something is wrong: a command that does not get through in the
    end, in the folder where it was stopped, or leaves something unfinished there.
    """
    for line in bases(valid(pool)):
        with tempfile.TemporaryDirectory() as folder:
            for limit in _LIMITS:
                outcome = run_in(Path(folder), [*line, "--json", "r.json"], limit)
                if outcome == "done" and (left := [*Path(folder).rglob("*.part*")]):
                    outcome = f"!leaves {left[0].name}"
                if outcome != "refused":
                    break
                yield line[0], str(limit), outcome
            yield line[0], str(limit), outcome if outcome == "done" else f"!{outcome}"
