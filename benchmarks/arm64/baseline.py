"""The committed counts, and what has become worse since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.arm64.emulator import CPUS
from pqv_onnx.bench.modelled import MODELLED
from pqv_onnx.errors import PqvError
from pqv_onnx.files import write_atomically

BASELINE = Path(__file__).with_name("baseline.json")
# Beyond what another compiler or version of onnxruntime may change.
TOLERANCE = 0.01

_OURS = "pqv-"


def compare(report: dict[str, Any], baseline: Path = BASELINE) -> list[str]:
    """A line for every count of ours, and all modelled cycles, above that of the baseline.

    Only what both have is compared.

    Args:
        report: as `count` writes it.
        baseline: a file of the same form.
    """
    before = dict(_values(json.loads(baseline.read_text())))
    return [
        f"{name}: {value:g}, {value / before[name] - 1:.1%} more than {before[name]:g}"
        for name, value in _values(report)
        if name in before and value > before[name] * (1 + TOLERANCE)
    ]


def update(report: dict[str, Any], baseline: Path = BASELINE) -> None:
    """Put what was counted into the baseline; the rest of it stays.

    Args:
        report: as `count` writes it.
        baseline: a file of the same form.

    Raises:
        PqvError: the models of the two are not the same.
    """
    known = json.loads(baseline.read_text())
    if report["model"] != known["model"]:
        raise PqvError(f"the baseline is of {known['model']}, these counts of {report['model']}")
    models = known["models"]
    known["tools"] |= report["tools"]
    known["models"] = models | {
        variant: models.get(variant, {}) | entries for variant, entries in report["models"].items()
    }
    for key in ("kernels", "loops"):
        known[key] |= report[key]
    write_atomically(baseline, json.dumps(known, indent=1).encode() + b"\n")


def write_modelled() -> None:
    """Write what `pqv android bench --report` holds a phone against, after an update."""
    cycles = modelled_cycles(json.loads(BASELINE.read_text()))
    write_atomically(MODELLED, json.dumps(cycles, indent=1).encode() + b"\n")


def modelled_cycles(known: dict[str, Any]) -> dict[str, Any]:
    """Of a baseline, the cycles of whole models for each variant of our kernels.

    And the network and, for each variant, the cores that were modelled.
    """
    return {
        "model": known["model"],
        "cores": {
            variant: CPUS[variant].cores for variant in known["models"] if CPUS[variant].cores
        },
        "cycles": {
            variant: {
                name: entry["cycles"]
                for name, entry in models.items()
                # Of what onnxruntime runs; llvm-mca may not have been there.
                if name.startswith((_OURS, "ort-")) and "cycles" in entry
            }
            for variant, models in known["models"].items()
            if CPUS[variant].cores
        },
    }


def _values(report: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for variant, models in report["models"].items():
        for name, entry in models.items():
            if not name.startswith(_OURS):
                continue
            title = f"{report['model']}, {variant}, {name}"
            yield f"{title}, total", entry["total"]
            for core, cycles in entry.get("cycles", {}).items():
                yield f"{title}, cycles, {core}", cycles
    for variant, kernels in report["kernels"].items():
        for name, entry in kernels.items():
            yield f"{variant}, {name}, instructions", entry["total"]
    for variant, loops in report["loops"].items():
        for name, entry in loops.items():
            for core, cycles in entry["cycles"].items():
                size = entry["macs"] or entry["instructions"]
                yield f"{variant}, {name}, cycles of the loop per MAC, {core}", cycles / size
