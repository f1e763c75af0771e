"""Programs of others that the Android commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pqv_onnx.errors import PqvError


def find_program(name: str, advice: str) -> str:
    """The path of a program.

    Raises:
        PqvError: it is not on the PATH; the sentence ends with ``advice``.
    """
    found = shutil.which(name)
    if found is None:
        raise PqvError(f"{name} not found on the PATH: {advice}")
    return found


def capture(
    command: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end in ``folder``, with ``variables`` added to the environment.

    Returns:
        Its exit status and what it printed; text that is no UTF-8 has replacement characters.

    Raises:
        PqvError: it cannot be started.
    """
    environment = None if variables is None else {**os.environ, **variables}
    try:
        return subprocess.run(
            [os.fspath(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        program = Path(command[0]).name
        raise PqvError(f"{program}: cannot be started: {error.strerror}") from error


def first_error(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The line of a failed program that names the cause, for the end of a sentence.

    It is the first line with one of ``words`` in it, else the last line that is not empty, without
    the colours of a terminal (Maven sets them back even where it was told to use none).
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr + "\n" + done.stdout)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line]
    named = [line for line in lines if any(word in line for word in words)]
    return (named or lines[-1:] or [f"exit status {done.returncode}"])[0]
