"""The report of `benchmarks.kernels`: tables in Markdown, one per instruction set and unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.kernels.contestants import OURS, PEERS
from pqv_onnx.bench.machine import machine_lines

Record = dict[str, Any]


def write(result: dict[str, Any], folder: Path) -> None:
    """Write ``kernels.md`` from measured records."""
    (folder / "kernels.md").write_text("\n".join(_markdown(result)) + "\n")


def title(record: Record) -> str:
    """A case in words."""
    return f"{record['model']}, {record['kind']} {' x '.join(map(str, record['shape']))}"


def best_peer(record: Record) -> str | None:
    """The fastest contestant that is not ours."""
    rates = {name: rate for name, rate in record["rates"].items() if name in PEERS}
    return max(rates, key=lambda name: rates[name]) if rates else None


def peak_of(name: str, measured: dict[str, Any]) -> float | None:
    """The peak of the instructions that our kernels multiply by, if it was measured."""
    peaks: dict[str, float] = measured["peaks"]
    kernels = measured["kernels"]
    own = f"{kernels} int4" if name == "pqv-int4" else kernels
    return peaks.get(own) or peaks.get(kernels)


def _markdown(result: dict[str, Any]) -> Iterator[str]:
    yield "# Kernels\n"
    yield "\n\n".join(machine_lines(result["machine"]))
    yield (
        "\nOne thread, batch 1. The fastest run of each, runs taken in turns, in processor time. "
        "In brackets the share of the measured peak of one core; / best: how many times as fast "
        "as the fastest of the others, whose number is bold."
    )
    for measured in result["isas"]:
        yield f"\n## {measured['cap']}: our kernels are {measured['kernels']}\n"
        if measured["peaks"]:
            rates = (f"{name} {rate * 1e-9:.0f}" for name, rate in measured["peaks"].items())
            yield f"Measured peaks, GMAC/s: {', '.join(rates)}.\n"
        for is_product, unit in ((True, "GMAC/s"), (False, "G elements/s")):
            records = [r for r in measured["records"] if r["is_product"] == is_product]
            if records:
                yield from _table(records, measured, result["titles"], unit)
        yield from _implementations(measured, result["titles"])
    if result["skipped"]:
        yield "\n# Skipped\n"
        yield from (f"- {text}" for text in result["skipped"])


def _table(
    records: list[Record], measured: dict[str, Any], titles: dict[str, str], unit: str
) -> Iterator[str]:
    names = [name for name in titles if any(name in record["rates"] for record in records)]
    heads = [unit]
    for name in names:
        heads += [titles[name], "/ best"] if name in OURS else [titles[name]]
    yield _row(heads)
    yield _row(["---", *["---:"] * (len(heads) - 1)])
    for record in records:
        rates, best = record["rates"], best_peer(record)
        cells = [title(record)]
        for name in names:
            text = f"{rates[name] * 1e-9:.1f}" if name in rates else ""
            if name not in OURS:
                cells.append(f"**{text}**" if name == best else text)
                continue
            peak = peak_of(name, measured)
            if text and record["is_product"] and peak:
                text += f" ({rates[name] / peak:.0%})"
            cells += [text, f"{rates[name] / rates[best]:.2f}" if text and best else ""]
        yield _row(cells)
    yield ""


def _implementations(measured: dict[str, Any], titles: dict[str, str]) -> Iterator[str]:
    """What each of the others ran, in the words of its runtime."""
    for name, words in titles.items():
        if name in OURS:
            continue
        ops = dict.fromkeys(r["ops"][name] for r in measured["records"] if name in r["ops"])
        if ops:
            yield f"- {words}: {'; '.join(ops)}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
