"""Executed instructions and modelled cycles on arm64: `python -m benchmarks.arm64.count`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.arm64 import baseline, mca, mobile
from benchmarks.arm64.blocks import CLASSES, Profile, count_classes, dot_macs, hottest
from benchmarks.arm64.emulator import (
    CPUS,
    FOLDER,
    Cpu,
    build,
    build_plugin,
    describe,
    profile_kernels,
    profile_model,
)
from benchmarks.end_to_end.files import prepare
from benchmarks.end_to_end.peers import CONTESTANTS, MOBILE
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder, write_atomically

CONTESTANT_NAMES = (
    *("pqv-w4a4", "pqv-w8a8", "ort-fp32", "ort-static", "ort-nbits"),
    *(name for name, contestant in CONTESTANTS.items() if contestant.environment == MOBILE),
)
# Inner loops that are modelled: of these kernels, the block that most instructions run in.
LOOPS = (
    "PackedInt4MatMul 197 x 192 x 768",
    "PackedInt8MatMul 197 x 192 x 768",
    "IntMatMul 3 x 197 x 64",
    "IntWeightedMean 3 x 197 x 64",
    "IntSoftmax2n 3 x 197 x 64",
    "IntSoftmax2n (log2) 3 x 197 x 64",
    "IntLayerNorm 197 x 192",
    "IntGELU 197 x 768",
    "IntRMSNorm 197 x 192",
    "IntAdd 197 x 192",
    "IntGate 197 x 768",
    "IntRotary 6 x 201 x 64",
)

WIDTH = 130  # of tables, where there is no terminal

Entry = dict[str, Any]


def main(
    variants: Annotated[
        list[str] | None, typer.Option(help=f"Of {', '.join(CPUS)}; repeatable. Default: all.")
    ] = None,
    model: Annotated[str, typer.Option(help="timm name.")] = "deit_tiny_patch16_224",
    contestants: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of {', '.join(CONTESTANT_NAMES)}; repeatable; 'none' for kernels only. "
            "Default: the first four."
        ),
    ] = None,
    kernels: Annotated[bool, typer.Option(help="Count kernels one by one, too.")] = True,
    output: Annotated[Path, typer.Option(help="Folder of counts.json.")] = FOLDER,
    check: Annotated[
        bool, typer.Option(help="Fail where something is worse than the baseline.")
    ] = False,
    update: Annotated[bool, typer.Option(help="Put these counts into the baseline.")] = False,
) -> None:
    """Count what our kernels, whole models and onnxruntime's execute, under qemu."""
    try:
        chosen = _known(variants, tuple(CPUS))
        names = _known(contestants, CONTESTANT_NAMES, CONTESTANT_NAMES[:4])
        make_folder(output)
        report = measure(chosen, model, names, kernels)
        show(report)
        write_atomically(output / "counts.json", json.dumps(report, indent=1).encode() + b"\n")
        worse = baseline.compare(report) if check else []
        if update:
            baseline.update(report)
            baseline.write_modelled()
    except PqvError as error:
        raise SystemExit(f"error: {error}") from None
    for line in worse:
        print(line)
    if worse:
        raise SystemExit(1)


def _known(
    chosen: list[str] | None, names: tuple[str, ...], default: tuple[str, ...] | None = None
) -> list[str]:
    if chosen == ["none"]:
        return []
    for name in chosen or ():
        if name not in names:
            raise PqvError(f"{name} is unknown, expected one of {', '.join(names)}")
    return chosen or list(default or names)


def measure(variants: list[str], model: str, contestants: list[str], kernels: bool) -> Entry:
    """Everything that is counted and modelled, as it is written to counts.json."""
    if kernels or any(CONTESTANTS[name].environment != MOBILE for name in contestants):
        build()
    else:
        build_plugin()
    files = _files(model, contestants)
    report: Entry = {
        "tools": describe()
        | {"llvm-mca": mca.VERSION if mca.is_available() else "not installed"}
        | (
            mobile.describe_wheels() if any(CONTESTANTS[name].environment for name in files) else {}
        ),
        "model": model,
        "models": {},
        "kernels": {},
        "loops": {},
    }
    for variant in variants:
        cpu = CPUS[variant]
        report["models"][variant] = _measure_models(cpu, files)
        if kernels:
            report |= measure_kernels(cpu, report)
    return report


def _files(model: str, contestants: list[str]) -> dict[str, Path]:
    """The file of each contestant that can be made here."""
    present = {}
    for name in contestants:
        if missing := CONTESTANTS[name].missing():
            print(f"skipped {name}: {', '.join(missing)} not installed")
        else:
            present[name] = CONTESTANTS[name]
    files, errors = prepare(model, present)
    for name, error in errors.items():
        print(f"skipped {name}: {error}")
    return files


def _measure_models(cpu: Cpu, files: dict[str, Path]) -> Entry:
    entries: Entry = {}
    for name, file in files.items():
        if CONTESTANTS[name].environment != MOBILE:
            profile = profile_model(cpu, file)
        else:
            try:
                profile = mobile.profile_mobile(cpu, name, file)
            except PqvError as error:
                print(f"skipped {name}: {error}")
                continue
        entries[name] = {"file_bytes": file.stat().st_size} | describe_profile(profile, cpu)
    return entries


def describe_profile(profile: Profile, cpu: Cpu) -> Entry:
    """Instructions by class, and the modelled cycles of a big and of a little core."""
    entry: Entry = dict(count_classes(profile))
    if mca.is_available() and cpu.cores:
        cores = cpu.cores.values()
        entry["cycles"] = {core: round(mca.profile_cycles(profile, core)) for core in cores}
    return entry


def measure_kernels(cpu: Cpu, report: Entry) -> Entry:
    """The kernels of a variant, and their inner loops."""
    profiles = profile_kernels(cpu)
    counted = {
        name: {"work": work} | count_classes(profile) for name, (work, profile) in profiles.items()
    }
    loops = {}
    if mca.is_available() and cpu.cores:
        loops = {name: describe_loop(*profiles[name]) for name in LOOPS if name in profiles}
    return {
        "kernels": report["kernels"] | {cpu.variant: counted},
        "loops": report["loops"] | {cpu.variant: loops},
    }


def describe_loop(work: float, profile: Profile) -> Entry:
    """The hottest block: its size, its cycles on each core, its share of a core's peak.

    And the share of the whole kernel, of which `work` is known.
    """
    words = hottest(profile)
    macs = sum(map(dot_macs, words))
    is_matrix = any(dot_macs(word) == 32 for word in words)
    entry: Entry = {
        "instructions": len(words),
        "macs": macs,
        "cycles": {},
        "of_peak": {},
        "kernel_of_peak": {},
    }
    for core in mca.CORES:
        cycles = mca.block_cycles([words], core).get(words)
        if cycles is None:
            continue  # the core has no such instruction
        entry["cycles"][core] = round(cycles, 2)
        if macs:
            peak = mca.peak_macs_per_cycle(core, is_matrix)
            entry["of_peak"][core] = round(macs / cycles / peak, 3)
            whole = mca.profile_cycles(profile, core)
            entry["kernel_of_peak"][core] = round(work / whole / peak, 3)
    return entry


def show(report: Entry) -> None:
    console = Console()
    console.width = max(console.width, WIDTH)
    for variant, models in report["models"].items():
        if not models:
            continue
        title = f"{report['model']}, {variant}: millions of instructions of one inference"
        cores = tuple(CPUS[variant].cores.values())
        table = Table("", *CLASSES, "total", *(f"cycles, {core}" for core in cores), title=title)
        for name, entry in models.items():
            counts = [f"{entry[key] * 1e-6:.1f}" for key in (*CLASSES, "total")]
            cycles = [f"{entry['cycles'][core] * 1e-6:.1f}" for core in cores if "cycles" in entry]
            table.add_row(name, *counts, *cycles)
        console.print(table)
    for variant, kernels in report["kernels"].items():
        title = f"{variant}: instructions per multiply-accumulate or element"
        table = Table("", *CLASSES, "total", title=title)
        for name, entry in kernels.items():
            counts = [f"{entry[key] / entry['work']:.4f}" for key in (*CLASSES, "total")]
            table.add_row(name, *counts)
        console.print(table)
    if not mca.is_available():
        console.print(f"llvm-mca-{mca.VERSION}, which is not installed, would model the time")
    for variant, loops in report["loops"].items():
        if not loops:
            continue
        title = f"{variant}: modelled cycles of inner loops (share of peak; of the whole kernel)"
        table = Table("", "instructions", "MACs", *mca.CORES, title=title)
        for name, entry in loops.items():
            cells = [_cell(entry, core) for core in mca.CORES]
            table.add_row(name, str(entry["instructions"]), str(entry["macs"] or ""), *cells)
        console.print(table)


def _cell(entry: Entry, core: str) -> str:
    if core not in entry["cycles"]:
        return ""
    text = f"{entry['cycles'][core]:g}"
    if core not in entry["of_peak"]:
        return text
    return f"{text} ({entry['of_peak'][core]:.0%}; {entry['kernel_of_peak'][core]:.0%})"


if __name__ == "__main__":
    typer.run(main)
