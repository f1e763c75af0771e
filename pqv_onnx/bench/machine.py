"""What a measurement was taken on."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_CLOCK = "/sys/devices/system/cpu/cpu{}/cpufreq/cpuinfo_max_freq"
_FEATURES = (
    "avx2",
    "avx_vnni",
    "avx512_vnni",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sme",
)
_OF_ARM = {"sme"}  # of AMD it is the encryption of memory


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """CPU, instruction sets, cores, clock, load, versions and date, for the head of a report.

    Args:
        packages: distributions whose versions to name; those not installed are left out.
    """
    info = _read_cpuinfo()
    flags = set(info.get("Features", "").split())
    flags |= set(info.get("flags", "").split()) - _OF_ARM
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in _FEATURES if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "mhz": _highest_clock(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := _version(name))},
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """The description as two lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['features'])}; "
        f"load {machine['load']} at the start",
        f"{versions}, Python {machine['python']}, {machine['system']}; {machine['date']}",
    ]


def _highest_clock() -> float:
    """MHz of the fastest core that may be used, 0 where the system does not tell."""
    files = [Path(_CLOCK.format(core)) for core in os.sched_getaffinity(0)]
    return max((int(file.read_text()) / 1000 for file in files if file.is_file()), default=0.0)


def _read_cpuinfo() -> dict[str, str]:
    """The first CPU's entries of /proc/cpuinfo; empty where there is none."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text().split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
