"""Timing the models of a bundle on a phone."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pqv_onnx.android.adb import Device
from pqv_onnx.android.bundle import Bundle
from pqv_onnx.android.target import DEVICE_FOLDER, RUNNER
from pqv_onnx.errors import PqvError

_RESULT = "result.json"
_PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "soc": "ro.soc.model",
    "android": "ro.build.version.release",
    "api": "ro.build.version.sdk",
}


@dataclass(frozen=True)
class Cores:
    """Some cores of a phone.

    Attributes:
        name: ``all``, ``big``, ``little``, or the mask in hexadecimal digits.
        mask: bit 0 for core 0; 0 leaves the choice to the system.
        count: how many cores they are, None if unknown.
    """

    name: str
    mask: int
    count: int | None


@dataclass(frozen=True)
class Plan:
    """What is timed: every model at every number of threads on every choice of cores.

    Attributes:
        threads: numbers of threads; those above the number of cores are left out.
        cores: choices of cores.
        runs: timed runs.
        warmup: runs before them.
        pause: seconds between two measurements, in which the phone cools down.
        profile: whether to ask for the time by op, too.
    """

    threads: Sequence[int]
    cores: Sequence[Cores]
    runs: int
    warmup: int
    pause: float
    profile: bool

    @property
    def settings(self) -> list[tuple[int, Cores]]:
        """Threads and cores, in the order of measurement."""
        return [
            (threads, cores)
            for cores in self.cores
            for threads in self.threads
            if cores.count is None or threads <= cores.count
        ]


def describe_device(device: Device) -> dict[str, Any]:
    """The phone's serial, make, chip, Android version and the highest clock of each core, in MHz.

    Raises:
        PqvError: the phone went away.
    """
    values = {key: device.shell("getprop", name).strip() for key, name in _PROPERTIES.items()}
    return {"serial": device.serial, **values, "cpu_mhz": _clocks(device)}


def choose_cores(name: str, clocks: Sequence[float]) -> Cores:
    """The cores that a name means on a phone.

    Args:
        name: ``all``, ``big`` (every core that is faster than the slowest), ``little`` (the
            slowest) or a mask in hexadecimal digits.
        clocks: the highest clock of each core; empty if the phone does not tell.

    Raises:
        PqvError: no such name, or the phone has no such cores or does not tell.
    """
    if name == "all":
        return Cores(name, 0, len(clocks) or None)
    if name in ("big", "little"):
        slowest = min(clocks, default=0)
        if not clocks or max(clocks) == slowest:
            raise PqvError(f"--cores {name}: the device shows no cores of different clocks")
        chosen = [core for core, mhz in enumerate(clocks) if (mhz > slowest) == (name == "big")]
        return Cores(name, sum(1 << core for core in chosen), len(chosen))
    try:
        mask = int(name, 16)
    except ValueError:
        mask = 0
    if mask <= 0 or (clocks and mask >> len(clocks)):
        cores = f" of {len(clocks)} cores" if clocks else ""
        raise PqvError(f"--cores {name}: expected all, big, little or a hexadecimal mask{cores}")
    return Cores(name, mask, mask.bit_count())


def default_cores(clocks: Sequence[float]) -> list[Cores]:
    """All cores, and the big ones alone where a phone has such."""
    names = ["all", "big"] if clocks and max(clocks) > min(clocks) else ["all"]
    return [choose_cores(name, clocks) for name in names]


def measure(device: Device, bundle: Bundle, plan: Plan) -> Iterator[dict[str, Any]]:
    """Time a pushed bundle; one result after the other, so that none is lost.

    Models take turns at every setting.

    Yields:
        ``name`` and ``kind`` of the model, ``threads``, ``cores`` and ``report``: what
        ``pqv_run --json`` wrote, times in milliseconds.

    Raises:
        PqvError: a model does not run, or the phone went away.
    """
    pause = 0.0
    for threads, cores in plan.settings:
        for model in bundle.manifest["models"]:
            time.sleep(pause)
            pause = plan.pause
            yield {
                "name": model["name"],
                "kind": model["kind"],
                "threads": threads,
                "cores": cores.name,
                "report": _run(device, model, threads, cores, plan),
            }


def _run(
    device: Device, model: dict[str, Any], threads: int, cores: Cores, plan: Plan
) -> dict[str, Any]:
    words = [f"./{RUNNER}", model["path"], "--json", _RESULT]
    words += ["--threads", str(threads), "--runs", str(plan.runs), "--warmup", str(plan.warmup)]
    words += ["--cpu-mask", f"{cores.mask:x}"] if cores.mask else []
    words += ["--profile"] if plan.profile else []
    words += ["--functions"] if model["kind"] != "pqv" else []
    result = f"{DEVICE_FOLDER}/{_RESULT}"
    device.shell("rm", "-f", result)
    device.run_in(DEVICE_FOLDER, *words)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / _RESULT
        device.pull(result, copy)
        try:
            report = json.loads(copy.read_bytes())
            float(report["ms"]["p50"])
        except (ValueError, KeyError, TypeError) as error:
            raise PqvError(f"{device.serial}: {RUNNER} wrote no whole {_RESULT}") from error
    return dict(report)


def _clocks(device: Device) -> list[float]:
    """The highest clock of each core in MHz; empty if the phone does not tell all."""
    files = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq"
    text = device.shell("sh", "-c", f"grep -H . {files} 2>/dev/null || true")
    found = re.findall(r"/cpu(\d+)/cpufreq/cpuinfo_max_freq:(\d+)$", text, re.MULTILINE)
    clocks = {int(core): int(khz) / 1000 for core, khz in found}
    cores = range(len(clocks))
    return [clocks[core] for core in cores] if sorted(clocks) == list(cores) else []
