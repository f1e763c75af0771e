"""Running a process as if its CPU had fewer instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.end_to_end.child import ChildError
from benchmarks.end_to_end.folders import CACHE
from benchmarks.end_to_end.peers import OPENVINO_FLOAT32, Contestant
from pqv_onnx.runtime.info import library_info

NATIVE = "native"
_ONEDNN = {"avx512vnni": "AVX512_CORE_VNNI", "avxvnni": "AVX2_VNNI", "avx2": "AVX2"}
CAPS = (NATIVE, *_ONEDNN)


def has(cap: str) -> bool:
    """Whether this CPU has the instructions that a cap leaves."""
    return cap == NATIVE or cap in library_info()["available"]


@cache
def trap() -> Path | None:
    """The library that masks CPUID, built on first use; None where it does not work."""
    source = Path(__file__).with_name("cpuid_cap.c")
    target = CACHE / "cpuid_cap.so"
    CACHE.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    build = [compiler, "-O2", "-shared", "-fPIC", str(source), "-o", str(target)]
    probe = {**os.environ, "LD_PRELOAD": str(target), "CPUID_CAP": "avx2"}
    try:
        subprocess.run(build, check=True, capture_output=True)
        subprocess.run([sys.executable, "-c", ""], env=probe, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return target


def hold_down(cap: str, contestant: Contestant) -> tuple[dict[str, str], dict[str, Any]]:
    """Environment variables and settings that hold a contestant down to ``cap``.

    Raises:
        ChildError: this machine offers no way to do it, or there would be no difference to
            another contestant.
    """
    if cap == NATIVE:
        return {}, contestant.settings
    if not has(cap):
        raise ChildError(f"this CPU has no {cap}")
    if contestant.native_only:
        raise ChildError("nothing of its own below the native ISA")
    if contestant.runtime == "pqv":
        return {"PQV_ISA": cap}, contestant.settings
    if contestant.runtime == "openvino":
        # It goes on choosing bfloat16 by what the CPU has, and would run it by slow
        # reference code.
        return {"ONEDNN_MAX_CPU_ISA": _ONEDNN[cap]}, contestant.settings | OPENVINO_FLOAT32
    if (library := trap()) is None:
        raise ChildError(f"{contestant.runtime} cannot be held down to {cap} on this machine")
    return {"LD_PRELOAD": str(library), "CPUID_CAP": cap}, contestant.settings
