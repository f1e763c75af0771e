"""Whole models against other runtimes: `python -m benchmarks.end_to_end --quick`."""

from __future__ import annotations

import dataclasses
import itertools
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.end_to_end import report
from benchmarks.end_to_end.caps import CAPS, NATIVE, hold_down
from benchmarks.end_to_end.child import Child, ChildError
from benchmarks.end_to_end.files import prepare, size
from benchmarks.end_to_end.folders import CACHE
from benchmarks.end_to_end.peers import CONTESTANTS, MOBILE, MOBILE_PACKAGES, OURS, PEERS
from benchmarks.end_to_end.pythons import find_python, versions
from pqv_onnx.bench.machine import describe_machine
from pqv_onnx.bench.statistics import ratio, summarize
from pqv_onnx.bench.turns import spin_pause, take_turns
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder

MODELS = [
    "deit_tiny_patch16_224",
    "deit_small_patch16_224",
    "deit_base_patch16_224",
    "swin_tiny_patch4_window7_224",
]
PACKAGES = ("pqv_onnx", "onnxruntime", "openvino", "nncf", "torch", "timm", "numpy")
SESSIONS = 3
PROFILED_RUNS = 20


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all contestants have in common when they take turns."""

    model: str
    isa: str
    threads: int
    batch: int

    def __str__(self) -> str:
        return f"{self.model}, {self.isa}, threads {self.threads}, batch {self.batch}"


def main(
    models: Annotated[
        list[str] | None,
        typer.Option(help="timm name, repeatable. Default: DeiT-T, -S, -B, Swin-T."),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option(help=f"Of {', '.join(PEERS)}; repeatable; 'none' for no peer. Default: all."),
    ] = None,
    isa: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(CAPS)}; repeatable. Default: all.")
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Repeatable. Default: 1 and 2.")
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="Repeatable. Default: 1 and 8.")
    ] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Runs of each before timing.")] = 3,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 30,
    seconds: Annotated[
        float, typer.Option(help="Begin no new turns of a setting after so many seconds.")
    ] = 90.0,
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = CACHE / "report",
    quick: Annotated[
        bool, typer.Option("--quick", help="DeiT-T, native ISA, one thread, batch 1.")
    ] = False,
) -> None:
    """Time our models and what could be run instead, in turns; write JSON, a table, a figure.

    Example: `python -m benchmarks.end_to_end --quick --peers ort-fp32 --peers openvino-int8`
    """
    settings = [
        Setting(*values)
        for values in itertools.product(
            models or (MODELS[:1] if quick else MODELS),
            isa or ([NATIVE] if quick else CAPS),
            threads or ([1] if quick else [1, 2]),
            batch or ([1] if quick else [1, 8]),
        )
    ]
    names = _chosen(peers, isa)
    _check_models(models or [])
    if quick:
        seconds = min(seconds, 30.0)
    make_folder(output)
    result: dict[str, Any] = {
        "machine": _describe_machine(names),
        "titles": {name: CONTESTANTS[name].title for name in names},
        "skipped": [],
        "records": [],
    }
    for model, group in itertools.groupby(settings, key=lambda setting: setting.model):
        paths = _prepare(model, names, result["skipped"])
        for setting in group:
            typer.echo(str(setting))
            result["records"] += _measure(setting, paths, warmup, runs, seconds, result["skipped"])
            (output / "end_to_end.json").write_text(json.dumps(result, indent=1) + "\n")
    if not result["records"]:
        raise PqvError("nothing could be measured")
    report.write(result, output)
    typer.echo((output / "end_to_end.md").read_text())
    typer.echo(f"written: {output}/end_to_end.{{json,md,png}}")


def _describe_machine(names: list[str]) -> dict[str, Any]:
    machine = describe_machine(PACKAGES)
    if any(CONTESTANTS[name].environment for name in names):
        found = versions(find_python(MOBILE), (*MOBILE_PACKAGES, "torch"))
        machine["versions"] |= {f"{name} ({MOBILE})": text for name, text in found.items()}
    return machine


def _check_models(models: list[str]) -> None:
    """Raise PqvError for a name that timm does not know, before anything is made."""
    if models:
        from pqv_onnx.qat.build import check_timm_name  # torch takes seconds

        for model in models:
            check_timm_name(model)


def _chosen(peers: list[str] | None, isa: list[str] | None) -> list[str]:
    """Names of contestants, ours first."""
    for kind, given, known in (("peer", peers, [*PEERS, "none"]), ("ISA", isa, CAPS)):
        for name in given or []:
            if name not in known:
                raise PqvError(f"unknown {kind} {name!r}, expected one of {', '.join(known)}")
    return [*OURS, *(name for name in PEERS if peers is None or name in peers)]


def _skip(skipped: list[str], text: str) -> None:
    typer.echo(f"skipped: {text}", err=True)
    skipped.append(text)


def _prepare(model: str, names: list[str], skipped: list[str]) -> dict[str, Path]:
    """The file of each contestant that can be run."""
    typer.echo(f"{model}: preparing files")
    present = {}
    for name in names:
        if missing := CONTESTANTS[name].missing():
            _skip(skipped, f"{model}, {name}: {', '.join(missing)} not installed")
        else:
            present[name] = CONTESTANTS[name]
    paths, errors = prepare(model, present)
    for name, error in errors.items():
        _skip(skipped, f"{model}, {name}: {error}")
    return paths


def _measure(
    setting: Setting,
    paths: dict[str, Path],
    warmup: int,
    runs: int,
    seconds: float,
    skipped: list[str],
) -> list[dict[str, Any]]:
    """One record per contestant."""
    with ExitStack() as stack:
        children: dict[str, Child] = {}
        for name, path in paths.items():
            try:
                children[name] = stack.enter_context(_start(setting, name, path))
            except ChildError as error:
                _skip(skipped, f"{setting}, {name}: {error}")
        pause = spin_pause(setting.threads)
        try:
            turns = take_turns(
                list(children.values()), warmup=warmup, runs=runs, pause=pause, limit=seconds
            )
            more = _ask_more(children)
        except ChildError as error:
            _skip(skipped, f"{setting}: {error}")
            return []
    times = dict(zip(children, turns, strict=True))
    bases = [name for name in OURS if name in times]
    return [
        {
            **dataclasses.asdict(setting),
            "name": name,
            **dataclasses.asdict(summarize(measured)),
            "ratios": {base: ratio(measured, times[base]) for base in bases},
            "file_bytes": size(paths[name]),
            **more[name],
        }
        for name, measured in times.items()
    ]


def _start(setting: Setting, name: str, path: Path) -> Child:
    contestant = CONTESTANTS[name]
    environment, settings = hold_down(setting.isa, contestant)
    config = {
        "runtime": contestant.runtime,
        "path": str(path),
        "threads": setting.threads,
        "batch": setting.batch,
        "settings": settings,
    }
    return Child(config, environment, contestant.python)


def _ask_more(children: dict[str, Child]) -> dict[str, dict[str, Any]]:
    """Memory and session creation of each, and the profile of ours."""
    peaks = {name: child.ask("memory") for name, child in children.items()}
    created: dict[str, list[float]] = {name: [] for name in children}
    for _ in range(SESSIONS):
        for name, child in children.items():
            created[name].append(child.ask("create"))
    return {
        name: {
            "rss_bytes": peaks[name],
            "rss_over_bare_bytes": peaks[name] - child.loaded["bare"],
            "session_ms": summarize(created[name]).median,
            "kernels": child.loaded.get("isa"),
            "ops": child.ask("profile", runs=PROFILED_RUNS) if name in OURS else None,
        }
        for name, child in children.items()
    }


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except PqvError as failure:
        raise SystemExit(f"error: {failure}") from failure
