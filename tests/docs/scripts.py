"""Commands of the documents, run as a reader runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.builds import ROOT


def run(script: str, folder: Path) -> str:
    """What a script of ``pqv`` commands prints in a folder; it must not fail."""
    pqv = f'pqv() {{ "{sys.executable}" -m pqv_onnx.cli.main "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-ec", pqv + script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
