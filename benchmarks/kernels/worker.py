"""All cases of one instruction set, in one process.

`python -m benchmarks.kernels.worker CONFIG` with a JSON object: contestants, quick, warmup, runs,
seconds, peaks (a program, or null). It prints one line of JSON first, what kernels ours are, and
one per case.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.end_to_end.prepare import stdout_to_stderr
from benchmarks.kernels.cases import COPIES, Case, make_cases
from benchmarks.kernels.contestants import CONTESTANTS, Running
from pqv_onnx.bench.turns import take_turns
from pqv_onnx.runtime.info import library_info


def measure(case: Case, config: dict[str, Any]) -> dict[str, Any]:
    """The fastest run of each contestant that has the op: work per second."""
    running: dict[str, Running] = {}
    for name in config["contestants"]:
        if (started := CONTESTANTS[name].start(case)) is not None:
            running[name] = started
    times = take_turns(
        list(running.values()),
        warmup=config["warmup"],
        runs=config["runs"],
        limit=config["seconds"],
    )
    return {
        "kind": case.kind,
        "model": case.model,
        "shape": case.shape,
        "work": case.work,
        "is_product": case.is_product,
        "rates": {
            name: COPIES * case.work / min(measured)
            for name, measured in zip(running, times, strict=True)
        },
        "ops": {name: one.op for name, one in running.items()},
        "peaks": read_peaks(config["peaks"]),
    }


def read_peaks(program: str | None) -> dict[str, float]:
    """Multiply-accumulates per second of loops on registers, as the machine is just now."""
    if program is None:
        return {}
    done = subprocess.run([program, "--peaks"], capture_output=True, text=True, check=True)
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return {name: float(rate) for name, rate in lines}


def main(text: str) -> None:
    config = json.loads(text)
    with stdout_to_stderr() as real:

        def say(value: Any) -> None:
            os.write(real, json.dumps(value).encode() + b"\n")

        say(library_info()["selected"])
        for case in make_cases(quick=config["quick"]):
            say(measure(case, config))


if __name__ == "__main__":
    main(sys.argv[1])
