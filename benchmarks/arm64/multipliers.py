"""4-bit products by other multiplications than ours: `python -m benchmarks.arm64.multipliers`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.arm64.baseline import BASELINE
from benchmarks.arm64.blocks import CLASSES, count_classes
from benchmarks.arm64.emulator import BUILD, CPUS, build_plugin, profile, run
from pqv_onnx.errors import PqvError

PROGRAM = "multipliers"
OURS = {"neon": "PackedInt4MatMul 197 x 192 x 768", "dotprod": "PackedInt4MatMul 197 x 192 x 768"}

Counts = dict[str, float]


def count_multipliers() -> dict[str, Counts]:
    """Instructions per multiply-accumulate, by class, of each way; PqvError if one is wrong."""
    build_plugin()
    BUILD.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name(f"{PROGRAM}.cc")
    run("aarch64-linux-gnu-g++", "-O3", "-std=c++17", source, "-o", BUILD / PROGRAM)
    output, profiles = profile(CPUS["neon"], PROGRAM)
    cases = [line.split("\t") for line in output.splitlines()]
    return {
        name: _per_mac(count_classes(profile), float(work))
        for (name, work), profile in zip(cases, profiles, strict=True)
    }


def count_ours() -> dict[str, Counts]:
    """The same of whole kernels, epilogue included, as they were counted last."""
    kernels = json.loads(BASELINE.read_text())["kernels"]
    return {
        f"ours, {variant}": _per_mac(kernels[variant][name], kernels[variant][name]["work"])
        for variant, name in OURS.items()
    }


def _per_mac(counts: dict[str, int], work: float) -> Counts:
    return {key: counts[key] / work for key in (*CLASSES, "total")}


def main() -> None:
    table = Table(
        "", *CLASSES, "total", title="instructions per multiply-accumulate of 4-bit codes"
    )
    try:
        for name, counts in (count_multipliers() | count_ours()).items():
            table.add_row(name, *(f"{value:.3f}" for value in counts.values()))
    except PqvError as error:
        raise SystemExit(f"error: {error}") from None
    console = Console()
    console.width = max(console.width, 110)  # where there is no terminal
    console.print(table)


if __name__ == "__main__":
    main()
