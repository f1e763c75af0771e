"""Pictures of what ``observe`` saw, each with the codes that quantization has for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pqv_onnx.files import write_atomically
from pqv_onnx.qat.quantizers import GELU_MINIMUM
from pqv_onnx.train.observe import (
    ATTENTION_EDGES,
    GELU_EDGES,
    Attention,
    Gelu,
    Observation,
    Real,
    Residual,
)

_Seen = TypeVar("_Seen")

_PANELS = 4
"""Modules that a picture shows, from the first to the last."""
_BARS, _MASS, _MARKED = "#9db4c8", "#c0392b", "#f6dcd8"
_EXPONENTS = ("#31688e", "#35b779", "#e8a33d", "#c0392b")


def write_figures(folder: Path, seen: Observation, title: str) -> list[Path]:
    """Write ``attention.png``, ``gelu.png`` and ``residual.png``, each whole or not at all.

    Args:
        folder: an existing folder.
        seen: the observation.
        title: of the model.

    Returns:
        The files.

    Raises:
        PqvError: a file cannot be written.
    """
    below = f"{title}, {seen.images} images; * the model's codes"
    figures = {
        "attention.png": _columns(
            seen.attention,
            _draw_attention,
            f"Attention weights relative to the largest of their row, and codes for them\n{below}",
            rulers=True,
        ),
        "gelu.png": _columns(
            seen.gelu, _draw_gelu, f"Outputs of the GELU and codes for them\n{below}", rulers=True
        ),
        "residual.png": _columns(
            seen.residual,
            _draw_residual,
            "Ranges of the residual stream's channels, and what codes of steps s * 2^k reach\n"
            f"{title}, {seen.images} images",
            rulers=False,
        ),
    }
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        write_atomically(folder / name, buffer.getvalue())
    return [folder / name for name in figures]


def _columns(
    seen: Mapping[str, _Seen],
    draw: Callable[[Sequence[Axes], _Seen, bool], None],
    title: str,
    rulers: bool,
) -> Figure:
    """A column for each of a few modules: a plot and, if wanted, rulers of codes below it."""
    chosen = np.unique(np.linspace(0, len(seen) - 1, _PANELS).round().astype(int))
    names = [list(seen)[index] for index in chosen]
    figure = Figure(figsize=(3.9 * len(names) + 0.8, 4.8), layout="constrained")
    heights = (4.0, 1.2) if rulers else (1.0,)
    grid = figure.subplots(
        len(heights),
        len(names),
        sharex="col",
        sharey="row" if rulers else False,
        squeeze=False,
        height_ratios=heights,
    )
    for axes, name in zip(grid.T, names, strict=True):
        for each in axes:
            each.spines[["top", "right"]].set_visible(False)
        axes[0].set_title(name, fontsize=10)
        draw(axes, seen[name], name == names[0])
    figure.suptitle(title, fontsize=12)
    return figure


@dataclass(frozen=True)
class _Ruler:
    """Where a scheme's codes are, and a range with a word about it."""

    name: str
    codes: Real
    own: bool
    marked: tuple[float, float] = (0.0, 0.0)
    note: str = ""


def _draw_rulers(axes: Axes, rulers: Sequence[_Ruler], first: bool) -> None:
    rows = range(len(rulers))[::-1]
    for row, ruler in zip(rows, rulers, strict=True):
        axes.vlines(ruler.codes, row - 0.3, row + 0.3, color="black", linewidth=1.1)
        start, end = ruler.marked
        axes.barh(row, end - start, left=start, height=0.6, color=_MARKED, zorder=0)
        axes.text(
            start, row - 0.03, f" {ruler.note}", fontsize=7.5, va="center", color=_MASS,
            bbox={"facecolor": _MARKED, "edgecolor": "none", "pad": 0.5} if ruler.note else None,
        )  # fmt: skip
    names = [f"{ruler.name} *" if ruler.own else ruler.name for ruler in rulers]
    axes.set_yticks(rows, names, fontsize=8)
    axes.set_ylim(-0.6, len(rulers) - 0.4)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if first:
        axes.set_ylabel("codes")


def _log_percent(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(1e-3, 100)
    axes.yaxis.set_major_formatter("{x:g}")


def _draw_attention(axes: Sequence[Axes], seen: Attention, first: bool) -> None:
    upper, lower = axes
    centres = (ATTENTION_EDGES[:-1] + ATTENTION_EDGES[1:]) / 2
    count, mass = (100 * values / values.sum() for values in (seen.counts, seen.mass))
    upper.bar(centres, count, 0.25, color=_BARS, label="of the weights")
    upper.plot(centres, mass, color=_MASS, label="of the attention: their sum")
    _log_percent(upper)

    def ruler(name: str, codes: Real, zero_below: float, own: bool) -> _Ruler:
        lost = mass[centres < zero_below].sum()
        return _Ruler(name, codes, own, (ATTENTION_EDGES[0], zero_below), f"to 0: {lost:.1f}%")

    rulers = [
        ruler("log2, 4 bits", -np.arange(8.0), -7.5, seen.log2),
        ruler("uniform, 4 bits", np.log2(np.arange(1, 16) / 15), -np.log2(30), False),
        ruler("uniform, 8 bits", np.log2(np.arange(1, 256) / 255), -np.log2(510), not seen.log2),
    ]
    _draw_rulers(lower, rulers, first)
    lower.set_xticks(range(-16, 1, 4), ["0", *(f"$2^{{{n}}}$" for n in (-12, -8, -4)), "1"])
    lower.set_xlabel("weight / largest weight of its row")
    if first:
        upper.set_ylabel("share, %")
        upper.legend(frameon=False, fontsize=8, loc="upper left")


def _draw_gelu(axes: Sequence[Axes], seen: Gelu, first: bool) -> None:
    upper, lower = axes
    share = 100 * seen.counts / seen.counts.sum()
    upper.bar(GELU_EDGES[:-1], share, np.diff(GELU_EDGES), align="edge", color=_BARS)
    _log_percent(upper)
    count, top = 2**seen.bits, float(seen.grid[-1])
    bits = f"{seen.bits} bits"
    name = "grouped" if len(seen.grid) > count else "asymmetric"
    own = bool(-seen.grid[0] > top / 2)
    asymmetric: Real = np.linspace(-GELU_MINIMUM, top, count)
    step = top / (count // 2 - 1)
    symmetric: Real = np.linspace(-step * (count // 2), top, count)
    rulers = [
        _Ruler(f"{name}, {bits}", asymmetric if own else seen.grid, not own),
        _Ruler(
            f"symmetric, {bits}",
            seen.grid if own else symmetric,
            own,
            (symmetric[0], -GELU_MINIMUM),
            "no values",
        ),
    ]
    _draw_rulers(lower, rulers, first)
    lower.set_xlim(1.05 * symmetric[0], 1.2 * top)
    lower.set_xlabel("output")
    if first:
        upper.set_ylabel("share of the values, %")


def _draw_residual(axes: Sequence[Axes], seen: Residual, first: bool) -> None:
    (plot,) = axes
    order = np.argsort(-seen.ranges)
    ranges, exponents = seen.ranges[order], seen.exponents[order]
    places = np.arange(len(order))
    for exponent, colour in enumerate(_EXPONENTS):
        chosen = exponents == exponent
        if chosen.any():
            reach = seen.largest_code * seen.step * 2.0**exponent
            label = f"k = {exponent}: {chosen.sum()} channels"
            plot.vlines(places[chosen], 0, ranges[chosen], color=colour, linewidth=1.2)
            plot.axhline(reach, color=colour, linewidth=1, linestyle="--", label=label)
    plot.set_ylim(0, 1.3 * max(ranges.max(), plot.dataLim.ymax))
    plot.set_xlabel("channel, widest first")
    plot.legend(frameon=False, fontsize=8, loc="upper right")
    if first:
        plot.set_ylabel("largest magnitude (dashed: largest code)")
