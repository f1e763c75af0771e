"""The report of `benchmarks.end_to_end`: one table in Markdown, one figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.end_to_end.peers import OURS
from pqv_onnx.bench.machine import machine_lines

Record = dict[str, Any]


def write(result: dict[str, Any], folder: Path) -> None:
    """Write ``end_to_end.md`` and ``end_to_end.png`` from measured records."""
    (folder / "end_to_end.md").write_text("\n".join(_markdown(result)) + "\n")
    draw(result, folder / "end_to_end.png")


def _key(record: Record) -> tuple[str, str, int, int]:
    return record["model"], record["isa"], record["threads"], record["batch"]


def _markdown(result: dict[str, Any]) -> Iterator[str]:
    yield "# End to end\n"
    yield "\n\n".join(machine_lines(result["machine"]))
    yield (
        "\nMedians of runs taken in turns, 10th and 90th percentile behind them. / w8a8 and so "
        "on: how many times as long as our model takes. Session: median time to make one. "
        "Memory: peak beyond that of the bare runtime, for this batch."
    )
    for (model, isa, threads, batch), group in itertools.groupby(result["records"], key=_key):
        yield f"\n## {model}, {isa}, threads {threads}, batch {batch}\n"
        yield from _latencies(list(group), result["titles"])
    if profiles := list(_profiles(result["records"])):
        yield "\n# Time by op\n"
        yield from profiles
    if result["skipped"]:
        yield "\n# Skipped\n"
        yield from (f"- {text}" for text in result["skipped"])


def _latencies(records: list[Record], titles: dict[str, str]) -> Iterator[str]:
    bases = list(records[0]["ratios"])
    heads = ["", "ms", "p10 - p90", *(f"/ {base.removeprefix('pqv-')}" for base in bases)]
    heads += ["runs", "session, ms", "memory, MB", "file, MB"]
    yield _row(heads)
    yield _row(["---", *["---:"] * (len(heads) - 1)])
    for record in records:
        title = titles[record["name"]]
        yield _row(
            [
                f"{title} ({record['kernels']})" if record["kernels"] else title,
                f"{record['median']:.2f}",
                f"{record['p10']:.2f} - {record['p90']:.2f}",
                *(f"{record['ratios'][base]:.2f}" for base in bases),
                str(record["runs"]),
                f"{record['session_ms']:.0f}",
                f"{record['rss_over_bare_bytes'] / 1e6:.0f}",
                f"{record['file_bytes'] / 1e6:.1f}",
            ]
        )


def _profiles(records: list[Record]) -> Iterator[str]:
    """Share of time by op: one table per model and ISA, of the first thread count and batch."""
    first = _first_settings(records)
    for key, group in itertools.groupby(records, key=_key):
        ours = [record for record in group if record["ops"]]
        if not ours or key not in first:
            continue
        model, isa, threads, batch = key
        shares = [{op["op"]: op for op in record["ops"]} for record in ours]
        names = dict.fromkeys(op for one in shares for op in one)
        order = sorted(names, key=lambda op: -max(one[op]["ms"] for one in shares if op in one))
        yield f"{model}, {isa}, threads {threads}, batch {batch}\n"
        yield _row(["op", *(f"{record['name']}, ms | share" for record in ours)])
        yield _row(["---", *["---:"] * (2 * len(ours))])
        for op in order:
            cells = (
                [f"{one[op]['ms']:.3f}", f"{one[op]['share']:.1%}"] if op in one else ["", ""]
                for one in shares
            )
            yield _row([op, *itertools.chain.from_iterable(cells)])
        yield ""


def _first_settings(records: list[Record]) -> set[tuple[str, str, int, int]]:
    """Of each model and ISA the setting with the fewest threads and the smallest batch."""
    least = min((record["threads"], record["batch"]) for record in records)
    return {_key(record) for record in records if (record["threads"], record["batch"]) == least}


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def draw(result: dict[str, Any], path: Path) -> None:
    """Medians as bars with p10 and p90: one panel per model and ISA."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    first = _first_settings(result["records"])
    shown = [record for record in result["records"] if _key(record) in first]
    models = list(dict.fromkeys(record["model"] for record in shown))
    isas = list(dict.fromkeys(record["isa"] for record in shown))
    figure, panels = plt.subplots(
        len(isas),
        len(models),
        squeeze=False,
        figsize=(5.5 * len(models) + 1, 0.32 * len(result["titles"]) * len(isas) + 1.6),
        layout="constrained",
    )
    for (row, isa), (column, model) in itertools.product(enumerate(isas), enumerate(models)):
        records = [r for r in shown if r["isa"] == isa and r["model"] == model]
        _panel(panels[row][column], f"{model}, {isa}", records, result["titles"])
    _, _, threads, batch = next(iter(first))
    machine = result["machine"]
    figure.suptitle(
        f"Milliseconds per run, median with p10 and p90; threads {threads}, batch {batch}\n"
        f"{machine['cpu']}, {machine['date'][:10]}, onnxruntime "
        f"{machine['versions']['onnxruntime']}",
        fontsize=9,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(axes: Any, title: str, records: list[Record], titles: dict[str, str]) -> None:
    medians = [record["median"] for record in records]
    errors = [
        [record["median"] - record["p10"] for record in records],
        [record["p90"] - record["median"] for record in records],
    ]
    bars = axes.barh(
        [titles[record["name"]] for record in records],
        medians,
        xerr=errors,
        color=["#e08214" if record["name"] in OURS else "#8a8f98" for record in records],
        error_kw={"elinewidth": 0.8, "ecolor": "#444444"},
    )
    axes.bar_label(bars, [f" {median:.1f}" for median in medians], fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
