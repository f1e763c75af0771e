"""The demo's table, its picture, and whether it holds what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.table import Table

from pqv_onnx.demo.data import Split

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402 - the backend is chosen before

NAMES = ("float", "w8a8", "w4a4")
COLORS = ("#8a8f98", "#4c8bb8", "#e08214")
MINIMUM_TOP1 = 96.0
MAXIMUM_LOSS = {"w8a8": 0.5, "w4a4": 2.0}
MAXIMUM_SIZE = {"w4a4": 0.3}


def missed_promises(report: dict[str, Any]) -> list[str]:
    """One sentence for every promise about accuracy, size or bits that was not kept."""
    missed = broken_bits(report)
    float_top1 = report["float"]["top1"]
    if float_top1 < MINIMUM_TOP1:
        missed.append(f"float: top-1 is {float_top1:.2f}%, at least {MINIMUM_TOP1}% expected")
    for name, loss in MAXIMUM_LOSS.items():
        if (found := report[name]["top1_onnxruntime"]) < float_top1 - loss:
            missed.append(
                f"{name}: top-1 is {found:.2f}%, at most {loss} below {float_top1:.2f}% expected"
            )
    for name, ratio in MAXIMUM_SIZE.items():
        if (found := report[name]["bytes"] / report["float"]["bytes"]) > ratio:
            missed.append(f"{name}: {found:.3f} of the float file, at most {ratio} expected")
    return missed


def broken_bits(report: dict[str, Any]) -> list[str]:
    """One sentence for every model whose runs differ or that computes in float."""
    broken = []
    for name in NAMES[1:]:
        if not report[name]["bit_exact"]:
            broken.append(f"{name}: oracle, library and functions do not give the same bits")
        if report[name]["float_nodes"]:
            broken.append(f"{name}: {report[name]['float_nodes']} float nodes between the borders")
    return broken


def make_table(report: dict[str, Any]) -> Table:
    """The report as a table for the terminal."""
    data = report["data"]
    table = Table(
        title=f"Handwritten digits, {data['train']} training and {data['test']} test images",
        caption="Top-1 on the test images. Latency: onnxruntime, batch 1, one thread, in turns.",
    )
    table.add_column("")
    for name in NAMES:
        table.add_column(name, justify="right")

    def row(title: str, key: str, form: str) -> None:
        values = (report[name].get(key) for name in NAMES)
        table.add_row(title, *("" if v is None else form.format(v) for v in values))

    row("torch float", "top1", "{:.2f}%")
    row("torch fake-quantized", "top1_fakequant", "{:.2f}%")
    row("torch integer (oracle)", "top1_oracle", "{:.2f}%")
    row("onnxruntime, library", "top1_onnxruntime", "{:.2f}%")
    row("onnxruntime, functions", "top1_functions", "{:.2f}%")
    table.add_section()
    row("same bits everywhere", "bit_exact", "{}")
    row("float nodes inside", "float_nodes", "{}")
    row("file, bytes", "bytes", "{:,}")
    row("latency, ms", "latency_ms", "{:.3f}")
    return table


def draw(report: dict[str, Any], test: Split, predictions: np.ndarray, path: Path) -> None:
    """Write a PNG: accuracy, size and latency as bars, and test digits with W4A4's answers.

    Args:
        report: what `pipeline.run` reports.
        test: the test images.
        predictions: W4A4's class of each of them.
        path: the PNG file.
    """
    figure = plt.figure(figsize=(8.4, 5.2), layout="constrained")  # of README's width
    top, bottom = figure.subfigures(2, 1, height_ratios=(3, 2), squeeze=False).flat
    top1 = [report[name].get("top1", report[name].get("top1_onnxruntime")) for name in NAMES]
    panels = (
        ("top-1 accuracy, %", top1, "{:.2f}"),
        ("file size, KB", [report[name]["bytes"] / 1e3 for name in NAMES], "{:.0f}"),
        ("latency, ms", [report[name]["latency_ms"] for name in NAMES], "{:.2f}"),
    )
    for axes, (title, values, form) in zip(top.subplots(1, 3), panels, strict=True):
        bars = axes.bar(NAMES, values, color=COLORS)
        axes.bar_label(bars, [form.format(value) for value in values])
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(y=0.15)

    bottom.suptitle("test digits and the W4A4 model's answers; mistakes first, with the true digit")
    mistakes_first = np.argsort(predictions == test.labels.numpy(), kind="stable")
    for axes, index in zip(bottom.subplots(2, 12).flat, mistakes_first, strict=False):
        axes.imshow(test.images[index, 0], cmap="gray_r")
        answer, truth = int(predictions[index]), int(test.labels[index])
        title = str(answer) if answer == truth else f"{answer}, not {truth}"
        axes.set_title(title, fontsize=10, color="black" if answer == truth else "red")
        axes.set_axis_off()
    figure.savefig(path, dpi=200)
    plt.close(figure)
