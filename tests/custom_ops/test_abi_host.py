"""Every op through the C ABI alone, on this machine, on emulated arm64 Linux and on Android."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pqv_onnx.runtime.library import get_library_path
from tests.builds import SANITIZED, build, emulator, need, need_sme
from tests.custom_ops.case_file import drive
from tests.custom_ops.models import library_info
from tests.custom_ops.test_fuzz import ARM64


def test_on_this_machine(cases: list[Path]) -> None:
    folder = build("host", "pqv_abi_host")
    for isa in library_info()["available"]:
        drive([folder / "pqv_abi_host"], get_library_path(), cases, isa)


def test_sanitized(cases: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With AddressSanitizer and UndefinedBehaviorSanitizer, every variant."""
    folder = build("host-sanitize", "pqv_abi_host", "pqv_ops")
    for name, value in SANITIZED.items():
        monkeypatch.setenv(name, value)
    for isa in library_info()["available"]:
        drive([folder / "pqv_abi_host"], folder / "libpqv_ops.so", cases, isa)


def test_threads(cases: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """With ThreadSanitizer: nodes that threads share and make, tasks on threads, every variant."""
    monkeypatch.setenv("TSAN_OPTIONS", "halt_on_error=1")
    folder = build("host-threads", "pqv_abi_host", "pqv_ops")
    for isa in library_info()["available"]:
        command = [folder / "pqv_abi_host", "--threads", "3"]
        drive(command, folder / "libpqv_ops.so", cases, isa)


def test_without_memory(cases: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each allocation of the library fails once: a status, or the right result."""
    program = build("host", "pqv_memory_faults") / "pqv_memory_faults"
    for isa in library_info()["available"]:
        monkeypatch.setenv("PQV_ISA", isa)
        command = [program, get_library_path(), *cases]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert int(done.stdout.split()[0]) > len(cases)


@pytest.mark.parametrize("cpu", ARM64)
def test_on_linux_arm64(cpu: str, cases: list[Path]) -> None:
    need_sme(cpu)
    folder = build("linux-arm64", "pqv_abi_host", "pqv_ops")
    command = [*emulator(cpu), folder / "pqv_abi_host"]
    drive(command, folder / "libpqv_ops.so", cases, chosen(cpu))


@pytest.mark.parametrize("cpu", ARM64)
def test_on_android(cpu: str, cases: list[Path]) -> None:
    """Under Android's own linker, from a root that has /system/bin/linker64 and its libraries."""
    root = os.environ.get("PQV_ANDROID_ROOT")
    if root is None:
        pytest.skip("PQV_ANDROID_ROOT names no system root of Android on arm64")
    need("qemu-aarch64", "qemu-user")
    need_sme(cpu)
    folder = build("android-nondk", "pqv_abi_host", "pqv_ops")
    command = ["qemu-aarch64", "-L", root, "-cpu", cpu, folder / "pqv_abi_host"]
    drive(command, folder / "libpqv_ops.so", cases, chosen(cpu))


def chosen(cpu: str) -> str | None:
    """What has to be asked for; else it is the best."""
    return "sme" if "sme" in ARM64[cpu] else None
