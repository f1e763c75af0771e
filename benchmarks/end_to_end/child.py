"""The parent's side of `benchmarks.end_to_end.worker`."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.end_to_end.folders import ROOT
from benchmarks.end_to_end.pythons import PYTHON


class ChildError(Exception):
    """A worker ended before its time; the message is its last word."""


class Child:
    """A worker process with one model; can be timed in turns with others."""

    def __init__(
        self, config: dict[str, Any], environment: dict[str, str], python: Path = PYTHON
    ) -> None:
        """Start the process and wait until its model is loaded; raises ChildError."""
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - lives as long as self
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.end_to_end.worker", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        self.loaded: dict[str, Any] = self._listen()

    def ask(self, do: str, **more: Any) -> Any:
        """Send one request and wait for the answer; raises ChildError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last word is in the log
        return self._listen()

    def time(self, runs: int) -> list[float]:
        """Seconds of each of ``runs`` inferences."""
        times: list[float] = self.ask("time", runs=runs)
        return times

    def _listen(self) -> Any:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        code = self._process.wait()
        self._log.seek(0)
        words = [line.strip() for line in self._log if line.strip()]
        raise ChildError(words[-1] if words else f"ended with code {code}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
