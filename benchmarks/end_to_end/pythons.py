"""Other interpreters, and what is installed beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from benchmarks.end_to_end.folders import CACHE

PYTHON = Path(sys.executable)
_MISSING = "sorted(n for n in sys.argv[1:] if importlib.util.find_spec(n) is None)"
_VERSIONS = (
    "{d.name: d.version for d in importlib.metadata.distributions() if d.name in sys.argv[1:]}"
)


def find_python(environment: str) -> Path:
    """That of a virtual environment in `build/bench`, or ours where it has not been made."""
    python = CACHE / environment / "bin" / "python"
    return python if environment and python.exists() else PYTHON


def missing(python: Path, modules: Iterable[str]) -> list[str]:
    """Those of the modules that an interpreter does not find."""
    found: list[str] = json.loads(_evaluate(python, _MISSING, *modules))
    return found


def versions(python: Path, distributions: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found: dict[str, str] = json.loads(_evaluate(python, _VERSIONS, *distributions))
    return dict(sorted(found.items()))


@cache
def _evaluate(python: Path, expression: str, *words: str) -> str:
    code = f"import importlib.metadata, importlib.util, json, sys; print(json.dumps({expression}))"
    done = subprocess.run([python, "-c", code, *words], capture_output=True, text=True, check=True)
    return done.stdout
