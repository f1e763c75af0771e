"""The committed counts, and what has become worse since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("baseline.json")
# Beyond what another compiler or version of onnxruntime may change.
TOLERANCE = 0.01

_OURS = "pqv-"


def compare(report: dict[str, Any], baseline: Path = BASELINE) -> list[str]:
    """A line for every count of ours, and every modelled time, above that of the baseline.

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


def _values(report: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for variant, models in report["models"].items():
        for name, entry in models.items():
            if not name.startswith(_OURS):
                continue
            for key in ("total", "modelled_ms"):
                if key in entry:
                    yield f"{report['model']}, {variant}, {name}, {key}", entry[key]
    for variant, kernels in report["kernels"].items():
        for name, entry in kernels.items():
            yield f"{variant}, {name}, instructions", entry["total"]
    for variant, loops in report["loops"].items():
        for name, entry in loops.items():
            for core, cycles in entry["cycles"].items():
                size = entry["macs"] or entry["instructions"]
                yield f"{variant}, {name}, cycles of the loop per MAC, {core}", cycles / size
