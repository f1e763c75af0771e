"""onnxruntime's library out of its official Android package."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection

from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.android.target import ABI, RUNTIME
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.session import MINIMUM_ONNXRUNTIME

_ARTIFACT = "com.microsoft.onnxruntime:onnxruntime-android"
_VERSION_PREFIX = "VERS_"
_MAX_LIBRARY_BYTES = 2**28


@dataclass(frozen=True)
class Runtime:
    """onnxruntime for Android on arm64: its version and the bytes of its library."""

    version: str
    library: bytes


@contextmanager
def fetched_aar(version: str) -> Iterator[Path]:
    """The package of an onnxruntime version, for a while in a temporary folder.

    Raises:
        PqvError: there is no Maven, or it cannot get the package.
    """
    advice = "--aar names an onnxruntime-android .aar file that was downloaded before"
    maven = find_program("mvn", f"install Maven to fetch onnxruntime-android, or {advice}")
    with tempfile.TemporaryDirectory() as folder:
        artifact = f"{_ARTIFACT}:{version}:aar"
        options = ["-B", "-q", "-U", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        done = capture([maven, *options, "dependency:copy"], folder)
        found = sorted(Path(folder).glob("*.aar"))
        if done.returncode or not found:
            cause = first_error(done, "[ERROR]").removeprefix("[ERROR] ")
            raise PqvError(f"{artifact} cannot be fetched with mvn: {cause}; {advice}")
        yield found[0]


def read_aar(path: str | os.PathLike[str]) -> Runtime:
    """Take onnxruntime's library for arm64 out of its Android package.

    Raises:
        PqvError: the file is missing, is no such package, has no library for arm64, or has an
            onnxruntime that is too old.
    """
    entry = f"jni/{ABI}/{RUNTIME}"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if entry not in names:
                found = sorted(n for n in names if n.endswith(".so")) or ["no library"]
                raise PqvError(f"{path}: has {', '.join(found)}, expected {entry}")
            size = archive.getinfo(entry).file_size
            if size > _MAX_LIBRARY_BYTES:
                raise PqvError(f"{path}: {entry} has {size} bytes, more than any onnxruntime has")
            library = archive.read(entry)
    except OSError as error:
        raise PqvError(f"{path}: cannot be read: {error.strerror}") from error
    except PqvError:
        raise
    # A damaged or encrypted archive can fail in any way.
    except Exception as error:
        reason = f"{path}: not an Android package (.aar), or a damaged or encrypted one"
        raise PqvError(reason) from error
    version = _library_version(library, f"{path}, {entry}")
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_ONNXRUNTIME:
        oldest = ".".join(map(str, MINIMUM_ONNXRUNTIME))
        raise PqvError(f"{path}: onnxruntime {version} is too old: {oldest} or newer is needed")
    return Runtime(version, library)


def _library_version(library: bytes, name: str) -> str:
    """The version of onnxruntime, which its exported symbols carry (``VERS_1.22.0``)."""
    try:
        elf = ELFFile(io.BytesIO(library))
        machine = elf["e_machine"]
        versions = [
            auxiliary.name.removeprefix(_VERSION_PREFIX)
            for section in elf.iter_sections()
            if isinstance(section, GNUVerDefSection)
            for _, auxiliaries in section.iter_versions()
            for auxiliary in auxiliaries
            if auxiliary.name.startswith(_VERSION_PREFIX)
        ]
    # pyelftools checks little of what it reads: a broken file can fail in any way.
    except Exception as error:
        raise PqvError(f"{name}: not an ELF file, or a broken one") from error
    if machine != "EM_AARCH64":
        raise PqvError(f"{name}: is for {machine}, expected EM_AARCH64")
    if not versions or not all(part.isdecimal() for part in versions[0].split(".")):
        raise PqvError(f"{name}: not onnxruntime: its symbols have no version {_VERSION_PREFIX}...")
    return versions[0]
