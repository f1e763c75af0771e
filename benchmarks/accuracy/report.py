"""results.csv of the ablation to a table and a figure: mean and spread over the seeds."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

_COLORS = {"float": "tab:gray", "w8a8": "tab:blue", "w4a4": "tab:orange"}


@dataclass
class Summary:
    """A row's results over the seeds, top-1 in percent."""

    float_model: str
    precision: str
    name: str
    fake: dict[int, float] = field(default_factory=dict)
    integer: dict[int, float] = field(default_factory=dict)

    @property
    def final(self) -> dict[int, float]:
        """What counts: onnxruntime's results where there are any."""
        return self.integer or self.fake

    def beyond(self, base: Summary) -> list[float]:
        """Differences to ``base``, which has the same seeds: models of a seed have one start."""
        return [value - base.final[seed] for seed, value in self.final.items()]


def summarize(results: Path) -> list[Summary]:
    """The rows of results.csv in their order, over the seeds."""
    found: dict[tuple[str, str, str], Summary] = {}
    with results.open(newline="") as file:
        for line in csv.DictReader(file):
            key = (line["float_model"], line["precision"], line["row"])
            summary = found.setdefault(key, Summary(*key))
            seed = int(line["seed"])
            summary.fake[seed] = float(line["fake_quantized"])
            if line["onnxruntime"]:
                summary.integer[seed] = float(line["onnxruntime"])
    return list(found.values())


def write_report(results: Path, output: Path) -> None:
    """Write ablation.md and ablation.png beside each other: the rows of each float model."""
    rows = summarize(results)
    models = dict.fromkeys(row.float_model for row in rows)
    groups = {name: [row for row in rows if row.float_model == name] for name in models}
    (output / "ablation.md").write_text("\n".join(_table(*group) for group in groups.items()))
    _figure(groups, output / "ablation.png")


def _table(name: str, rows: list[Summary]) -> str:
    """Rows of one float model, which is the first of them."""
    lines = [
        f"Float model: {name}",
        "",
        "| precision | row | fake-quantized | onnxruntime | to float |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        integer = _spread(list(row.integer.values())) if row.integer else ""
        lines.append(
            f"| {row.precision} | {row.name} | {_spread(list(row.fake.values()))} | {integer} "
            f"| {_spread(row.beyond(rows[0]), sign='+')} |"
        )
    return "\n".join(lines) + "\n"


def _spread(values: list[float], sign: str = "") -> str:
    found = f"{mean(values):{sign}.2f}"
    return f"{found} ± {stdev(values):.2f}" if len(values) > 1 else found


def _figure(groups: dict[str, list[Summary]], path: Path) -> None:
    counts = [len(rows) for rows in groups.values()]
    figure, plots = plt.subplots(
        len(groups),
        squeeze=False,
        figsize=(8, 0.36 * sum(counts) + 1.2 * len(groups)),
        height_ratios=counts,
        layout="constrained",
    )
    for axes, (name, rows) in zip(plots[:, 0], groups.items(), strict=True):
        _bars(axes, name, rows)
    plots[-1, 0].set_xlabel(
        "top-1 on unseen scenes against the float model's, points; a dot per seed"
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axes: Axes, name: str, rows: list[Summary]) -> None:
    """Rows of one float model, which is the first of them."""
    for place, row in enumerate(rows):
        differences = row.beyond(rows[0])
        axes.barh(place, mean(differences), color=_COLORS[row.precision], alpha=0.6)
        axes.plot(differences, [place] * len(differences), "k.", markersize=4)
    axes.axvline(0, color="k", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{row.precision}  {row.name}" for row in rows])
    axes.invert_yaxis()
    axes.set_title(f"float model: {name}")
