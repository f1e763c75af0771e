"""A run's log: a CSV file and a picture of its curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pqv_onnx.files import write_atomically

COLUMNS = ("epoch", "step", "lr", "loss", "top1", "top5")


def write_log(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """Write ``log.csv`` and ``curves.png`` anew.

    Args:
        folder: where to.
        history: a row per epoch with the numbers of ``COLUMNS``; accuracies in percent.

    Raises:
        PqvError: a file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(folder / "log.csv", text.getvalue().encode())
    write_atomically(folder / "curves.png", _plot(history))


def _plot(history: Sequence[dict[str, float]]) -> bytes:
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    panels = (("training loss", ("loss",)), ("top-1, top-5, %", ("top1", "top5")))
    for axes, (title, names) in zip(
        figure.subplots(1, 3), (*panels, ("learning rate", ("lr",))), strict=True
    ):
        for name in names:
            axes.plot(epochs, [row[name] for row in history], marker=".", label=name)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
