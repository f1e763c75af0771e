"""A phone behind Android's debug bridge."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.android.target import ABI, MINIMUM_API
from pqv_onnx.errors import PqvError

_STATES = {
    "unauthorized": "does not trust this computer: unlock it and confirm the dialog",
    "offline": "is offline: plug it in again",
    "no permissions": "may not be opened by this user: adb needs a udev rule for it",
}
"""What adb says of a phone that it cannot use yet, and what to do."""


@dataclass(frozen=True)
class Device:
    """A phone that answers.

    Attributes:
        adb: path of the program.
        serial: adb's name of the phone.
    """

    adb: str
    serial: str

    def shell(self, *words: str) -> str:
        """Run a command on the phone; what it printed.

        Raises:
            PqvError: it failed, or the phone went away.
        """
        return self._run(["shell", shlex.join(words)], words[0]).stdout

    def run_in(self, folder: str, *words: str) -> str:
        """Run a command in a folder of the phone; what it printed.

        Raises:
            PqvError: it failed, or the phone went away.
        """
        command = f"cd {shlex.quote(folder)} && {shlex.join(words)}"
        return self._run(["shell", command], words[0]).stdout

    def push(self, source: str | os.PathLike[str], target: str) -> None:
        """Copy a file to the phone.

        Raises:
            PqvError: there is no space left, or the phone went away.
        """
        self._run(["push", os.fspath(source), target], f"copying {source}")

    def pull(self, source: str, target: str | os.PathLike[str]) -> None:
        """Copy a file from the phone.

        Raises:
            PqvError: there is no such file, or the phone went away.
        """
        self._run(["pull", source, os.fspath(target)], f"copying {source}")

    def _run(self, arguments: Sequence[str], what: str) -> subprocess.CompletedProcess[str]:
        done = capture([self.adb, "-s", self.serial, *arguments])
        if done.returncode == 0:
            return done
        state = capture([self.adb, "-s", self.serial, "get-state"])
        if state.returncode or state.stdout.strip() != "device":
            raise PqvError(f"{self.serial}: the device went away (unplugged?) during: {what}")
        cause = first_error(done, "error:", "No space left")
        if "No space left" in cause:
            raise PqvError(f"{self.serial}: no space left on the device during: {what}")
        raise PqvError(f"{self.serial}: {what} failed: {cause}")


def find_device(serial: str | None = None) -> Device:
    """The phone to use, able to run what is built for Android.

    Args:
        serial: one of several; None for the only one.

    Raises:
        PqvError: there is no adb, no phone or more than one, it does not trust this computer, or
            it is of another architecture or too old.
    """
    adb = find_program("adb", "install Android's platform tools")
    states = _list_devices(adb)
    names = ", ".join(states)
    if not states:
        raise PqvError("adb finds no device: plug one in and switch its USB debugging on")
    if serial is None and len(states) > 1:
        raise PqvError(f"adb finds {len(states)} devices: --serial must name one of {names}")
    serial = serial or next(iter(states))
    if serial not in states:
        raise PqvError(f"--serial {serial}: adb finds no such device, only {names}")
    if states[serial] != "device":
        advice = next((text for key, text in _STATES.items() if states[serial].startswith(key)), "")
        raise PqvError(f"{serial}: the device {advice or f'is in the state {states[serial]}'}")
    device = Device(adb, serial)
    _check(device)
    return device


def _list_devices(adb: str) -> dict[str, str]:
    """The states of all devices by serial."""
    done = capture([adb, "devices"])
    if done.returncode:
        raise PqvError(f"adb devices failed: {first_error(done, 'error:')}")
    _, _, listed = done.stdout.partition("List of devices attached")
    fields = (line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    return {serial: state.strip() for serial, state in fields}


def _check(device: Device) -> None:
    abis = device.shell("getprop", "ro.product.cpu.abilist").strip()
    if ABI not in abis.split(","):
        raise PqvError(f"{device.serial}: the device runs {abis or 'unknown code'}, expected {ABI}")
    level = device.shell("getprop", "ro.build.version.sdk").strip()
    if not level.isdecimal() or int(level) < MINIMUM_API:
        raise PqvError(
            f"{device.serial}: Android's API level is {level or 'unknown'}, "
            f"{MINIMUM_API} (Android 7.0) or newer is needed"
        )
