"""Single ops against other runtimes: `python -m benchmarks.kernels --quick`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.end_to_end.caps import CAPS, NATIVE, has, trap
from benchmarks.end_to_end.folders import CACHE, ROOT
from benchmarks.kernels import report
from benchmarks.kernels.contestants import CONTESTANTS, OURS, PEERS
from pqv_onnx.bench.machine import describe_machine
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder

PACKAGES = ("pqv_onnx", "onnxruntime", "openvino", "numpy")


def main(
    peers: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(PEERS)}; repeatable; 'none' for no peer. Default: all."),
    ] = None,
    isa: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(CAPS)}; repeatable. Default: all.")
    ] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Runs of each before timing.")] = 2,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 30,
    seconds: Annotated[
        float, typer.Option(help="Begin no new turns of a case after so many seconds.")
    ] = 5.0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")] = CACHE
    / "report",
    quick: Annotated[
        bool, typer.Option("--quick", help="DeiT-T and Swin-T's first stage, native ISA.")
    ] = False,
) -> None:
    """Time our kernels and what else has the op, in turns, on one core; write JSON, a table.

    Example: `python -m benchmarks.kernels --quick --peers ort-fp32 --peers openvino-int8`
    """
    make_folder(output)
    skipped: list[str] = []
    config: dict[str, Any] = {
        "contestants": _chosen(peers, isa, skipped),
        "quick": quick,
        "warmup": warmup,
        "runs": runs,
        "seconds": seconds,
        "peaks": _build_peaks(skipped),
    }
    result: dict[str, Any] = {
        "machine": describe_machine(PACKAGES),
        "titles": {name: CONTESTANTS[name].title for name in config["contestants"]},
        "skipped": skipped,
        "isas": [],
    }
    for cap in isa or ([NATIVE] if quick else CAPS):
        if (measured := _measure(cap, config, skipped)) is not None:
            result["isas"].append(measured)
            (output / "kernels.json").write_text(json.dumps(result, indent=1) + "\n")
    if not result["isas"]:
        raise PqvError("nothing could be measured")
    report.write(result, output)
    typer.echo((output / "kernels.md").read_text())
    typer.echo(f"written: {output}/kernels.{{json,md}}")


def _chosen(peers: list[str] | None, isa: list[str] | None, skipped: list[str]) -> list[str]:
    """Names of contestants that are installed, ours first."""
    for kind, given, known in (("peer", peers, [*PEERS, "none"]), ("ISA", isa, CAPS)):
        for name in given or []:
            if name not in known:
                raise PqvError(f"unknown {kind} {name!r}, expected one of {', '.join(known)}")
    chosen = []
    for name in [*OURS, *(name for name in PEERS if peers is None or name in peers)]:
        if CONTESTANTS[name].is_missing():
            skipped.append(f"{name}: {CONTESTANTS[name].needs} not installed")
        else:
            chosen.append(name)
    return chosen


def _build_peaks(skipped: list[str]) -> str | None:
    """The program that measures the peaks of this core; None where it cannot be built."""
    folder = CACHE / "kernels"
    target = "pqv_bench_kernels"
    sources = str(ROOT / "custom_ops")
    if shutil.which("cmake") is None:
        skipped.append("shares of the peak: cmake not installed")
        return None
    for command in (
        ["cmake", "-S", sources, "-B", str(folder), "-DPQV_BENCHMARKS=ON"],
        ["cmake", "--build", str(folder), "--target", target],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            skipped.append(f"shares of the peak: {' '.join(command[:2])} failed")
            return None
    return str(folder / target)


def _measure(cap: str, config: dict[str, Any], skipped: list[str]) -> dict[str, Any] | None:
    """All cases of one instruction set; None, and a word why, where it cannot be had."""
    environment: dict[str, str] = {}
    if not has(cap):
        skipped.append(f"{cap}: this CPU has no such instructions")
        return None
    if cap != NATIVE:
        if (library := trap()) is None:
            skipped.append(f"{cap}: this machine cannot hide instructions from the peers")
            return None
        environment = {"PQV_ISA": cap, "LD_PRELOAD": str(library), "CPUID_CAP": cap}
        names = config["contestants"]
        names = [name for name in names if not CONTESTANTS[name].native_only]
        config = config | {"contestants": names}
    answers = _run_worker(config, environment)
    measured: dict[str, Any] = {"cap": cap, "kernels": next(answers), "records": []}
    for record in answers:
        typer.echo(f"{cap}: {report.title(record)}")
        measured["records"].append(record)
    peaks: dict[str, float] = {}
    for record in measured["records"]:
        for name, rate in record.pop("peaks").items():
            peaks[name] = max(rate, peaks.get(name, 0.0))
    return measured | {"peaks": peaks}


def _run_worker(config: dict[str, Any], environment: dict[str, str]) -> Iterator[Any]:
    """What the worker says, line by line."""
    command = [sys.executable, "-m", "benchmarks.kernels.worker", json.dumps(config)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode:
        raise PqvError(f"the measuring process ended with code {process.returncode}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except PqvError as failure:
        raise SystemExit(f"error: {failure}") from failure
