"""``pqv bench``: how long a model takes."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.bench.machine import describe_machine, machine_lines
from pqv_onnx.bench.modelled import floor
from pqv_onnx.bench.profile import OpTime
from pqv_onnx.bench.session import TimedSession
from pqv_onnx.bench.statistics import ratio, summarize
from pqv_onnx.bench.turns import spin_pause, take_turns
from pqv_onnx.cli.options import (
    MAX_THREADS,
    JsonOption,
    ModelArgument,
    check_json,
    console,
    write_json,
)
from pqv_onnx.graph.load import load_model
from pqv_onnx.runtime.info import library_info

_PACKAGES = ("pqv_onnx", "onnxruntime", "numpy")


@dataclasses.dataclass(frozen=True)
class _Way:
    """A model and a way to run it."""

    name: str
    path: Path
    isa: str | None = None
    use_library: bool = True


def command(
    model: ModelArgument,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_THREADS, help="Threads, repeatable. Default: 1."),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Batch size, repeatable. Default: 1.")
    ] = None,
    isa: Annotated[
        list[str] | None,
        typer.Option(help="Variant of the kernels, repeatable. Default: the library's choice."),
    ] = None,
    functions: Annotated[
        bool, typer.Option("--functions", help="Time stock onnxruntime with the functions, too.")
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="MODEL", help="Another .onnx file to compare with, repeatable."),
    ] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Runs before timing.")] = 3,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs.")] = 30,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show the time by op, from onnxruntime's profiler.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Time MODEL on random input: medians, percentiles, ratios.

    Everything that is compared runs in turns. A ratio above 1 means that the line takes that
    many times as long as the first line of its table.

    Example: `pqv bench m.onnx --threads 1 --threads 2 --against float.onnx --profile`
    """
    check_json(json_file, model, *(against or []))
    load_model(model)
    machine = describe_machine(_PACKAGES)
    for line in machine_lines(machine):
        console.print(line)
    ways = _ways(model, isa, functions, against)
    results, profiles = [], []
    for count in threads or [1]:
        for size in batch or [1]:
            setting = {"threads": count, "batch": size}
            mhz = machine["mhz"] if count == size == 1 else 0.0
            entries = _time(ways, count, size, warmup, runs, mhz)
            title = f"threads {count}, batch {size}"
            console.print(_table(title, entries))
            _compare(entries)
            results += [{**setting, **entry} for entry in entries]
            for way in ways if profile else []:
                ops = _profile(way, count, size, warmup + runs)
                console.print(_profile_table(f"{way.name}, {title}", ops))
                shares = [dataclasses.asdict(op) for op in ops]
                profiles.append({**setting, "name": way.name, "ops": shares})
    write_json(
        json_file,
        {"model": str(model), "machine": machine, "results": results, "profiles": profiles},
    )


def _ways(
    model: Path, isa: list[str] | None, functions: bool, against: list[Path] | None
) -> list[_Way]:
    """What takes turns; MODEL first. The others run on the first of its variants."""
    variants = isa or [library_info()["selected"]]
    ways = [_Way(f"{model.name}, {name}", model, isa=name) for name in variants]
    if functions:
        ways.append(_Way(f"{model.name}, functions", model, use_library=False))
    return ways + [_Way(path.name, path, isa=variants[0]) for path in against or []]


def _time(
    ways: list[_Way], threads: int, batch: int, warmup: int, runs: int, mhz: float
) -> list[dict[str, Any]]:
    """What `pqv bench --json` has of each way; ``mhz`` is 0 where nothing was modelled."""
    sessions = [_session(way, threads, batch) for way in ways]
    times = take_turns(sessions, warmup=warmup, runs=runs, pause=spin_pause(threads))
    return [
        {
            "name": way.name,
            **dataclasses.asdict(summarize(measured)),
            "ratio": ratio(measured, times[0]),
            "session_ms": 1e3 * session.created,
            **_modelled(way, session, mhz),
        }
        for way, session, measured in zip(ways, sessions, times, strict=True)
    ]


def _modelled(way: _Way, session: TimedSession, mhz: float) -> dict[str, Any]:
    """What was modelled of a file on arm64 cores, if it was."""
    about = session.metadata
    name = f"pqv-{about.get('pqv.precision')}" if way.use_library else None
    found = floor(about.get("pqv.model"), name, way.isa, mhz)
    return {"modelled": dataclasses.asdict(found)} if found else {}


def _compare(entries: list[dict[str, Any]]) -> None:
    for entry in entries:
        if modelled := entry.get("modelled"):
            console.print(
                f"{entry['name']}: {entry['median'] / modelled['ms']:.2f} times the "
                f"{modelled['ms']:.2f} ms that are modelled for a {modelled['core']} at "
                f"{modelled['mhz']:.0f} MHz"
            )


def _session(way: _Way, threads: int, batch: int, prefix: str | None = None) -> TimedSession:
    return TimedSession(
        way.path,
        threads=threads,
        batch=batch,
        isa=way.isa,
        use_library=way.use_library,
        profile_prefix=prefix,
    )


def _profile(way: _Way, threads: int, batch: int, runs: int) -> list[OpTime]:
    with tempfile.TemporaryDirectory() as folder:
        return _session(way, threads, batch, str(Path(folder) / "profile")).profile(runs)


def _table(title: str, entries: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("median ms", "p10", "p90", "ratio", "session ms"):
        table.add_column(heading, justify="right")
    for entry in entries:
        numbers = (f"{entry[key]:.3f}" for key in ("median", "p10", "p90"))
        table.add_row(
            entry["name"], *numbers, f"{entry['ratio']:.2f}", f"{entry['session_ms']:.1f}"
        )
    return table


def _profile_table(title: str, ops: list[OpTime]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("op")
    for heading in ("nodes", "ms", "share"):
        table.add_column(heading, justify="right")
    for op in ops:
        table.add_row(op.op, str(op.nodes or ""), f"{op.ms:.3f}", f"{op.share:.1%}")
    return table
