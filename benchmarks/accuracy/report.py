"""results.csv of the ablation to a table and a figure: mean and spread over the seeds."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_COLORS = {"float": "tab:gray", "w8a8": "tab:blue", "w4a4": "tab:orange"}


@dataclass
class Summary:
    """A row's results over the seeds, top-1 in percent."""

    precision: str
    name: str
    fake: list[float] = field(default_factory=list)
    integer: list[float] = field(default_factory=list)

    @property
    def final(self) -> list[float]:
        """What counts: onnxruntime's results where there are any."""
        return self.integer or self.fake


def summarize(results: Path) -> list[Summary]:
    """The rows of results.csv in their order, over the seeds."""
    found: dict[tuple[str, str], Summary] = {}
    with results.open(newline="") as file:
        for line in csv.DictReader(file):
            key = (line["precision"], line["row"])
            summary = found.setdefault(key, Summary(*key))
            summary.fake.append(float(line["fake_quantized"]))
            if line["onnxruntime"]:
                summary.integer.append(float(line["onnxruntime"]))
    return list(found.values())


def write_report(results: Path, output: Path) -> None:
    """Write ablation.md and ablation.png beside each other."""
    rows = summarize(results)
    (output / "ablation.md").write_text(_table(rows))
    _figure(rows, output / "ablation.png")


def _table(rows: list[Summary]) -> str:
    base = mean(rows[0].final)
    lines = [
        "| precision | row | fake-quantized | onnxruntime | to float |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        integer = _spread(row.integer) if row.integer else ""
        lines.append(
            f"| {row.precision} | {row.name} | {_spread(row.fake)} | {integer} "
            f"| {mean(row.final) - base:+.2f} |"
        )
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def _figure(rows: list[Summary], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.2), layout="constrained")
    for place, row in enumerate(rows):
        axes.barh(place, mean(row.final), color=_COLORS[row.precision], alpha=0.6)
        axes.plot(row.final, [place] * len(row.final), "k.", markersize=4)
    axes.axvline(mean(rows[0].final), color="k", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(rows)), [f"{row.precision}  {row.name}" for row in rows])
    axes.invert_yaxis()
    lowest = min(min(row.final) for row in rows)
    axes.set_xlim(max(lowest - 2, 0), max(max(row.final) for row in rows) + 1)
    axes.set_xlabel("top-1 on unseen scenes, %; a dot per seed")
    figure.savefig(path, dpi=120)
    plt.close(figure)
