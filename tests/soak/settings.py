"""The tests as if on other machines: settings that make float libraries take other instructions.

A test that passes with one of them and fails with another hangs on the last bits of float sums,
which no two CPUs need have in common.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.builds import ROOT

SETTINGS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "sse": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
    "two-threads": {"MKL_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "one-core": {"MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
}
"""Environment variables by name of a setting."""


def passes(name: str, arguments: Sequence[str]) -> bool:
    """Whether pytest, given ``arguments``, passes with the setting of that name."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    if name == "one-core":
        command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *command]
    environment = {**os.environ, **SETTINGS[name]}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
