"""How much memory a model takes in onnxruntime, measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pqv_onnx.errors import PqvError


def peak_memory(path: str | os.PathLike[str]) -> int:
    """Bytes that a model's session and one inference add to a process, at their peak.

    Args:
        path: the ``.onnx`` file; it runs at batch 1 on one thread.

    Raises:
        PqvError: the model cannot be run.
    """
    command = [sys.executable, "-m", "pqv_onnx.bench.memory", os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PqvError(f"{path}: memory cannot be measured: {lines[-1] if lines else 'no reason'}")
    return int(done.stdout)


def _resident(entry: str) -> int:
    """Bytes of resident memory: VmRSS now, VmHWM at most so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(entry)


def main(path: str) -> None:
    """Run a model once and print what it took."""
    from pqv_onnx.bench.session import TimedSession

    before = _resident("VmRSS")
    TimedSession(path).time(1)
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main(sys.argv[1])
