"""One file to send: what a phone measured, beside what was modelled for its kernels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pqv_onnx.android.bundle import Bundle
from pqv_onnx.android.models import KINDS
from pqv_onnx.bench.modelled import Floor, described, floor
from pqv_onnx.graph.load import load_model, metadata

_OTHERS = {"fp32": "ort-fp32", "qdq": "ort-static"}
"""What the same network is called there in the forms that onnxruntime runs alone."""

_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def make_report(result: dict[str, Any], bundle: Bundle) -> str:
    """The report in Markdown.

    Args:
        result: what ``pqv android bench --json`` writes.
        bundle: what was measured.
    """
    device = {key: value for key, value in result["device"].items() if key != "serial"}
    name = " ".join(device[key] for key in ("manufacturer", "model", "soc") if device[key])
    entries = result["results"]
    parts = [
        f"# pqv_onnx on {name or 'a phone'}",
        _facts(device, result),
        "## Measured",
        _table(_COLUMNS, [_cells(entry) for entry in entries]),
        "Medians of one inference, in milliseconds:",
        _figure(entries),
        "## Beside the model",
        _compare(entries, device, bundle),
        "## All of it",
        "The phone's serial number is left out.",
        "```json\n" + json.dumps({**result, "device": device}, separators=(",", ":")) + "\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(device: dict[str, Any], result: dict[str, Any]) -> str:
    manifest = result["bundle"]
    clocks = ", ".join(f"{mhz:.0f}" for mhz in device["cpu_mhz"]) or "not told"
    variants = {_variant(entry) for entry in result["results"]} - {None}
    lines = [
        f"Android {device['android']}, cores' highest clocks in MHz: {clocks}",
        f"pqv_onnx {manifest['pqv_onnx']}, onnxruntime {manifest['onnxruntime']}",
        f"kernels of the op library: {', '.join(sorted(filter(None, variants))) or 'none ran'}",
    ]
    if not result["complete"]:
        lines.append("**The measurement ended early**: what follows is a part of it.")
    return "\n".join(f"- {line}" for line in lines)


_COLUMNS = ("model", "threads", "cores", "p50 ms", "p90", "p99", "load ms", "MB", "°C", "MHz")


def _cells(entry: dict[str, Any]) -> list[str]:
    report = entry["report"]
    memory, heat = report["peak_memory_bytes"], report["after"]["temperature"]
    return [
        _title(entry),
        str(entry["threads"]),
        entry["cores"],
        *(f"{report['ms'][key]:.2f}" for key in ("p50", "p90", "p99")),
        f"{report['load_ms']:.0f}",
        "" if memory is None else f"{memory * 1e-6:.0f}",
        "" if heat is None else f"{heat:.0f}",
        f"{clock:.0f}" if (clock := _clock(entry)) else "",
    ]


def _figure(entries: Sequence[dict[str, Any]]) -> str:
    """Bars of text: they stay what they are wherever the file is pasted."""
    longest = max((entry["report"]["ms"]["p50"] for entry in entries), default=1)
    width = max((len(_title(entry)) for entry in entries), default=0)
    lines: list[str] = []
    setting = None
    for entry in entries:
        if setting != (setting := (entry["threads"], entry["cores"])):
            lines += ["", f"threads {setting[0]}, cores {setting[1]}"]
        ms = entry["report"]["ms"]["p50"]
        bar = _bar(ms / longest)
        lines.append(f"  {_title(entry):{width}}  {bar} {ms:.2f}")
    return "```text\n" + "\n".join(lines[1:]) + "\n```"


def _bar(share: float) -> str:
    whole, rest = divmod(round(share * _BAR * 8), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _compare(entries: Sequence[dict[str, Any]], device: dict[str, Any], bundle: Bundle) -> str:
    found = list(_floors(entries, device, bundle))
    if not found:
        return f"Nothing to compare: modelled is {described()}."
    head = ("model", "cores", "as", "MHz", "measured ms", "modelled ms", "measured / modelled")
    rows = []
    for entry, modelled in found:
        measured = entry["report"]["ms"]["p50"]
        numbers = f"{modelled.mhz:.0f}", f"{measured:.2f}", f"{modelled.ms:.2f}"
        ratio = f"{measured / modelled.ms:.2f}"
        rows.append([_title(entry), entry["cores"], modelled.core, *numbers, ratio])
    return _table(head, rows) + (
        "\n\nModelled: the core of the column *as*, at the clock of the column MHz, of the fastest "
        "core in use after the runs or, where the phone does not tell, the highest it has (the "
        "lowest, where only little cores were in use). The model knows no cache, no memory and no "
        "mispredicted branch: it is a floor. Above 1, the phone waits for what the model leaves "
        "out, or its core is a slower one."
    )


def _floors(
    entries: Sequence[dict[str, Any]], device: dict[str, Any], bundle: Bundle
) -> Iterator[tuple[dict[str, Any], Floor]]:
    """Measurements on one thread of what was modelled, and the modelled times."""
    networks, variant = _networks(bundle), _variant_of(entries)
    for entry in entries:
        little = entry["cores"] == "little"
        clock = _clock(entry) or (min if little else max)(device["cpu_mhz"], default=0)
        network, name = networks.get(entry["name"], (None, None))
        modelled = floor(network, name, variant, clock, little)
        if entry["threads"] == 1 and modelled:
            yield entry, modelled


def _networks(bundle: Bundle) -> dict[str, tuple[str | None, str]]:
    """The network of each model of the bundle, and what such a file is called in the model."""
    found = {}
    network = None
    for model in bundle.manifest["models"]:
        if model["kind"] == "pqv":
            entries = metadata(load_model(bundle.folder / model["path"]))
            network = entries.get("pqv.model")
            name = f"pqv-{entries.get('pqv.precision')}"
        else:  # the user says that it is the network of the others
            name = _OTHERS[model["kind"]]
        found[model["name"]] = network, name
    return found


def _variant_of(entries: Sequence[dict[str, Any]]) -> str | None:
    """The kernels that the phone's processor has; onnxruntime sees the same features."""
    return next(filter(None, map(_variant, entries)), None)


def _variant(entry: dict[str, Any]) -> str | None:
    library = entry["report"].get("library") or {}
    found = library.get("selected")
    return str(found) if found else None


def _clock(entry: dict[str, Any]) -> float:
    """MHz of the fastest core in use after the runs, 0 where the phone does not tell."""
    clocks = entry["report"]["after"]["clocks"]
    return float(max((clock["mhz"] or 0 for clock in clocks), default=0))


def _title(entry: dict[str, Any]) -> str:
    return f"{entry['name']} ({KINDS[entry['kind']]})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
