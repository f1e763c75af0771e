"""Building the op library and the runner for Android, with an NDK or without."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pqv_onnx
from pqv_onnx.android.elf import ANDROID_LIBRARY, ANDROID_PROGRAM, Rules, check
from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.android.target import LIBRARY, RUNNER
from pqv_onnx.errors import PqvError
from pqv_onnx.files import absolute, check_folder, make_folder, write_atomically

NDK_VARIABLE = "ANDROID_NDK_HOME"
_NDK_TOOLCHAIN = Path("build", "cmake", "android.toolchain.cmake")


@dataclass(frozen=True)
class Binaries:
    """A folder of the op library and the runner for arm64, both checked."""

    library: Path
    runner: Path


def find_binaries(folder: str | os.PathLike[str]) -> Binaries:
    """The op library and the runner in a folder that ``build`` filled.

    Raises:
        PqvError: one is missing, or breaks a rule of Android.
    """
    binaries = Binaries(Path(folder) / LIBRARY, Path(folder) / RUNNER)
    check_built(binaries.library, ANDROID_LIBRARY)
    check_built(binaries.runner, ANDROID_PROGRAM)
    return binaries


def check_built(path: str | os.PathLike[str], rules: Rules) -> None:
    """Check a file that ``build`` makes.

    Raises:
        PqvError: it is missing, or breaks a rule.
    """
    if not Path(path).is_file():
        raise PqvError(f"{path}: there is no such file: run `pqv android build` first")
    check(path, rules)


def build(
    output: str | os.PathLike[str],
    ndk: str | os.PathLike[str] | None = None,
    sources: str | os.PathLike[str] | None = None,
) -> Binaries:
    """Build for Android on arm64, check the result and copy it to ``output``.

    Args:
        output: folder for ``libpqv_ops.so`` and ``pqv_run``, stripped; made if missing.
        ndk: an Android NDK of r26 or newer; None for the one that ``ANDROID_NDK_HOME`` names,
            or for clang and lld alone if it names none.
        sources: the folder ``custom_ops``; None for the one beside this package.

    Raises:
        PqvError: CMake, the NDK, a compiler or the sources are missing, or a built file breaks
            a rule of Android; ``output`` is as it was then.
    """
    check_folder(output)
    cmake = find_program("cmake", "install CMake 3.21 or newer")
    folder = _sources(sources)
    preset, variables = _toolchain(ndk)
    binary_folder = folder.parent / "build" / preset
    for command in (
        [cmake, "--preset", preset],
        [cmake, "--build", "--preset", preset, "--target", "pqv_ops", RUNNER],
    ):
        done = capture(command, folder, variables)
        if done.returncode:
            raise PqvError(f"the preset {preset} cannot be built: {_cause(done)}")
    built = find_binaries(binary_folder)
    target = make_folder(output)
    for path in (built.library, built.runner):
        write_atomically(target / path.name, path.read_bytes())
    (target / RUNNER).chmod(0o755)
    return find_binaries(target)


def _sources(named: str | os.PathLike[str] | None) -> Path:
    folder = absolute(named or Path(pqv_onnx.__file__).parents[1] / "custom_ops")
    if not (folder / "CMakePresets.json").is_file():
        raise PqvError(
            f"{folder}: not the sources of the op library: "
            "--source names the folder custom_ops of a checkout"
        )
    return folder


def _toolchain(ndk: str | os.PathLike[str] | None) -> tuple[str, dict[str, str]]:
    """The preset, and the variables that it reads."""
    named = os.fspath(ndk) if ndk is not None else os.environ.get(NDK_VARIABLE)
    if not named:
        return "android-nondk", {}
    home = absolute(named)
    if not (home / _NDK_TOOLCHAIN).is_file():
        origin = "--ndk" if ndk is not None else NDK_VARIABLE
        raise PqvError(
            f"{origin} {named}: not an Android NDK: it has no {_NDK_TOOLCHAIN}; "
            "without --ndk and ANDROID_NDK_HOME, clang and lld build"
        )
    return "android", {NDK_VARIABLE: str(home)}


def _cause(done: subprocess.CompletedProcess[str]) -> str:
    """CMake's own message as one line, else the compiler's first error."""
    message = re.search(r"CMake Error at .*\n((?: +\S.*\n)+)", done.stderr)
    return " ".join(message[1].split()) if message else first_error(done, "error:", "Error")
