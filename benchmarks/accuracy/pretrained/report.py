"""results.csv: a line per finished row; and the table and the figure made of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.accuracy.pretrained.evaluate import Scores
from benchmarks.accuracy.pretrained.rows import ROWS, Row
from pqv_onnx.bench.machine import describe_machine, machine_lines
from pqv_onnx.files import write_atomically

_COLORS = {"float": "tab:gray", "peer": "tab:green", "ours": "tab:blue"}
_PACKAGES = ("torch", "timm", "onnxruntime", "openvino", "nncf")


@dataclass(frozen=True)
class Settings:
    """What rows of one table have in common; counts are of images."""

    data: str
    image_size: int
    head_images: int
    calibration_images: int
    train_images: int
    test_images: int
    seed: int

    @property
    def of_float(self) -> tuple[str, int, int, int]:
        """What the float model's outputs depend on."""
        return self.data, self.image_size, self.head_images, self.test_images

    @property
    def of_calibration(self) -> dict[str, Any]:
        """What a calibrated model depends on besides its row."""
        return self._without("train_images", "test_images")

    @property
    def of_training(self) -> dict[str, Any]:
        """What a trained float model depends on besides its row."""
        return self._without("calibration_images", "test_images")

    def _without(self, *ignored: str) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ignored}


@dataclass(frozen=True)
class Result:
    """A finished row: its scores, and the minutes that its model took to make."""

    row: Row
    scores: Scores
    minutes: float


_SETTINGS = tuple(field.name for field in fields(Settings))
FIELDS = ("precision", "row", *_SETTINGS, "top1", "sqnr", "cosine", "minutes")


def add_result(path: Path, settings: Settings, result: Result) -> None:
    """Add a row to results.csv, in place of an older one of the same settings; all or nothing."""
    scores = {name: f"{value:.4f}" for name, value in asdict(result.scores).items()}
    line = {"precision": result.row.precision, "row": result.row.name} | _texts(settings) | scores
    line["minutes"] = f"{result.minutes:.2f}"
    kept = [old for old in _read(path) if _key(old) != _key(line)]
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*kept, line])
    write_atomically(path, file.getvalue().encode())


def read_results(path: Path, settings: Settings) -> dict[str, Result]:
    """The finished rows with these settings by key, in the order of `ROWS`."""
    wanted = _texts(settings)
    lines = {
        f"{line['precision']} {line['row']}": line
        for line in _read(path)
        if all(line[name] == value for name, value in wanted.items())
    }
    return {row.key: _parse(row, lines[row.key]) for row in ROWS if row.key in lines}


def write_report(path: Path, settings: Settings) -> None:
    """Write results.md and results.png beside results.csv."""
    results = list(read_results(path, settings).values())
    if not results:
        return
    path.with_suffix(".md").write_text(_table(results, settings))
    _figure(results, path.with_suffix(".png"))


def _table(results: Sequence[Result], settings: Settings) -> str:
    base = next((r.scores.top1 for r in results if r.row.kind == "float"), None)
    lines = [
        *machine_lines(describe_machine(_PACKAGES)),
        "",
        ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in _texts(settings).items()),
        "",
        "| precision | row | top-1, % | to float | SQNR of logits, dB | cosine of features "
        "| minutes |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        row, scores = result.row, result.scores
        against = "" if base is None else f"{scores.top1 - base:+.2f}"
        near = "| | " if row.kind == "float" else f"| {scores.sqnr:.1f} | {scores.cosine:.4f} "
        lines.append(
            f"| {row.precision} | {_title(row)} | {scores.top1:.2f} | {against} {near}"
            f"| {result.minutes:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _figure(results: Sequence[Result], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 1 + 0.32 * len(results)), layout="constrained")
    for place, result in enumerate(results):
        top1 = result.scores.top1
        axes.barh(place, top1, color=_COLORS[result.row.kind], alpha=0.7)
        # Inside the bar, where the float model's line does not cross it.
        axes.text(1, place, f"{top1:.2f}", va="center", fontsize=9)
        if result.row.kind == "float":
            axes.axvline(top1, color="k", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(results)), [f"{_title(r.row)}  {r.row.precision}" for r in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("top-1 on test images, %")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _title(row: Row) -> str:
    return f"ours, {row.name}" if row.kind == "ours" else row.name


def _texts(settings: Settings) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(settings).items()}


def _key(line: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in ("precision", "row", *_SETTINGS))


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _parse(row: Row, line: Mapping[str, str]) -> Result:
    scores = Scores(*(float(line[field.name]) for field in fields(Scores)))
    return Result(row, scores, float(line["minutes"]))
