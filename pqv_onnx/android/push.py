"""Copying a bundle to a phone."""

from __future__ import annotations

from pqv_onnx.android.adb import Device
from pqv_onnx.android.bundle import MANIFEST, Bundle
from pqv_onnx.android.target import DEVICE_FOLDER, RUNNER
from pqv_onnx.errors import PqvError


def push(device: Device, bundle: Bundle) -> None:
    """Make ``DEVICE_FOLDER`` on the phone a copy of the bundle.

    The manifest comes last, so that a copy that has one is whole.

    Raises:
        PqvError: the phone has no space for it or went away.
    """
    device.shell("rm", "-rf", DEVICE_FOLDER)
    device.shell("mkdir", "-p", f"{DEVICE_FOLDER}/models")
    free = _free_bytes(device)
    if free is not None and free < bundle.size:
        raise PqvError(
            f"{device.serial}: no space left on the device: the bundle has "
            f"{bundle.size / 1e6:.1f} MB, {free / 1e6:.1f} MB are free in {DEVICE_FOLDER}"
        )
    for name in bundle.files:
        device.push(bundle.folder / name, f"{DEVICE_FOLDER}/{name}")
    device.shell("chmod", "755", f"{DEVICE_FOLDER}/{RUNNER}")


def is_pushed(device: Device, bundle: Bundle) -> bool:
    """Whether the phone has a whole copy of this bundle.

    Raises:
        PqvError: the phone went away.
    """
    there = device.shell("sh", "-c", f"cat {DEVICE_FOLDER}/{MANIFEST} 2>/dev/null || true")
    return there.split() == (bundle.folder / MANIFEST).read_text().split()


def _free_bytes(device: Device) -> int | None:
    """What ``df`` says, None where it says it in a way of its own."""
    lines = device.shell("df", "-k", DEVICE_FOLDER).splitlines()
    fields = lines[-1].split() if lines else []
    return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdecimal() else None
