"""Building and running fuzz targets."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.builds import build
from tests.fuzz.seeds import TARGETS

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=8192")
"""What an input may take: seconds, and memory."""


@dataclass(frozen=True)
class Run:
    """How a run of a target ended.

    Attributes:
        executions: inputs that were tried.
        covered: edges of the program that they reached.
        report: of the input that broke it, and its path; empty if there was none.
    """

    executions: int
    covered: int
    report: str


def program(target: str) -> Path:
    """The program of a target, built if it has to be."""
    return build("host-fuzz", f"pqv_fuzz_{target}") / f"pqv_fuzz_{target}"


def write_seeds(target: str, folder: Path) -> None:
    """Write the seeds of a target into its corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[target]()):
        (folder / f"seed-{number}").write_bytes(data)


def fuzz(target: str, corpus: Path, *bounds: str) -> Run:
    """Run a target from its corpus, to which libFuzzer adds what reaches more.

    Args:
        target: one of ``TARGETS``.
        corpus: its folder; inputs that break the target are left beside it.
        bounds: libFuzzer's flags for the length of the run, as ``-runs=1000``.
    """
    command = [program(target), corpus, f"-artifact_prefix={corpus.parent}/{target}-", *LIMITS]
    done = subprocess.run([*command, *bounds], capture_output=True, text=True, check=False)
    counts = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+)", done.stderr)
    executions, covered = map(int, counts[-1]) if counts else (0, 0)
    return Run(executions, covered, "" if done.returncode == 0 else done.stderr)
