"""Files and folders that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pqv_onnx.errors import PqvError

LARGEST_TEXT = 2**24
"""Bytes of a text that a user gives."""
_NAME_SHOWN = 30
"""Characters of a file's name that the name of its temporary file has: both must fit."""


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path from the root on. Links stay as they are: one may lead to itself."""
    return Path(os.path.abspath(path))


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The path, if a file can be made there; asked before long work, not after it.

    Raises:
        PqvError: its folder does not exist or cannot be written, or it is a folder.
    """
    try:
        _place(Path(path))
    except OSError as error:
        raise PqvError(f"{path}: cannot be written: {error.strerror}") from error
    return Path(path)


def check_apart(output: Path, others: Iterable[Path | None]) -> None:
    """Refuse to write a file that is read or written as another, too; a device may be both.

    Args:
        output: to write.
        others: of the same run; None stands for one that was not given.

    Raises:
        PqvError: one of them is the same file.
    """
    for other in others:
        if other is not None and _same_file(output, other):
            raise PqvError(f"{output}: is also {other}, expected two files: give another name")


def _same_file(one: Path, other: Path) -> bool:
    try:
        return stat.S_ISREG(one.stat().st_mode) and one.samefile(other)
    except OSError:  # one is not there yet, or cannot be looked up
        return os.path.realpath(one) == os.path.realpath(other)


def check_folder(path: str | os.PathLike[str]) -> Path:
    """The path, if `make_folder` can make it; asked before long work. Nothing is made.

    Raises:
        PqvError: there is a file, or the folder that it would be made in cannot be written.
    """
    folder = Path(path)
    try:
        there = _nearest(folder)
    except OSError as error:
        raise PqvError(f"{folder}: cannot be made: {error.strerror}") from error
    if not there.is_dir():
        raise PqvError(f"{folder}: cannot be made: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PqvError(f"{folder}: cannot be made or written: no permission in {there}")
    return folder


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The path, made a folder that files can be written to.

    Raises:
        PqvError: it cannot be made or written to.
    """
    folder = check_folder(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PqvError(f"{folder}: cannot be made: {error.strerror}") from error
    return folder


@contextmanager
def filled_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The path, made a folder if need be; a new one is gone if the block fails and it is empty.

    Raises:
        PqvError: as `make_folder`.
    """
    new = not Path(path).exists()
    folder = make_folder(path)
    try:
        yield folder
    except BaseException:  # an interrupt, too
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def check_whole_folder(path: str | os.PathLike[str]) -> Path:
    """The path, if `whole_folder` can put one there; asked before long work. Nothing is made.

    Raises:
        PqvError: as `check_folder`, or the folder that it would be in is not there.
    """
    folder = check_folder(path)
    if not folder.parent.is_dir():
        raise PqvError(f"{folder}: cannot be written: there is no folder {folder.parent}")
    return folder


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``target`` at the end of the block.

    If the block fails, what was at ``target`` before is still there, and nothing else.

    Raises:
        PqvError: it cannot be filled, or not be put there.
    """
    try:
        with tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name[:_NAME_SHOWN]}."
        ) as made:
            new, old = Path(made) / "new", Path(made) / "old"
            new.mkdir()
            yield new
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except BaseException:  # an interrupt, too
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise PqvError(f"{target}: cannot be written: {error.strerror}") from error


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by their paths in a new folder, with the folders that they are in."""
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to a temporary file beside ``path``, then rename it into place.

    The file that a link leads to is written, not the link. What cannot be replaced, a device or a
    pipe, is written into.

    Raises:
        PqvError: the file cannot be written; what was at ``path`` before is still there.
    """
    try:
        target, mode = _place(Path(path))
        if mode is not None and not stat.S_ISREG(mode):
            with target.open("wb", buffering=0) as file:
                _write_all(file.fileno(), data)
        else:
            _replace(target, data, 0o666 & ~_umask() if mode is None else stat.S_IMODE(mode))
    except OSError as error:
        raise PqvError(f"{path}: cannot be written: {error.strerror}") from error


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path, if there is a file.

    Raises:
        PqvError: there is a folder or nothing.
    """
    if not Path(path).is_file():
        raise PqvError(f"{path}: {why_no_file(path)}")
    return Path(path)


def why_no_file(path: str | os.PathLike[str]) -> str:
    """What to say of a path where a file was expected."""
    if Path(path).is_dir():
        return "is a folder, not a file"
    return "is a device or a pipe, not a file" if Path(path).exists() else "there is no such file"


def read_bytes(path: str | os.PathLike[str], most: int, kind: str) -> bytes:
    """What is in a file of a user's, which may be a device that has no end.

    Args:
        path: the file.
        most: bytes that it may have.
        kind: what it should be, for the sentence.

    Raises:
        PqvError: it is not there, cannot be read or has more bytes.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise PqvError(f"{path}: there is no such file") from error
    except OSError as error:
        raise PqvError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise PqvError(f"{path}: is too long: over {most >> 20} MB of {kind}")
    return data


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, a byte order mark or none in front.

    Raises:
        PqvError: see `read_bytes`, of at most ``LARGEST_TEXT``; or it is no text.
    """
    try:
        return read_bytes(path, LARGEST_TEXT, "text").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PqvError(f"{path}: is no text in UTF-8") from error


def file_hash(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(path: Path) -> tuple[Path, int | None]:
    """What is to be written for ``path``, and the mode of what is there: None for nothing.

    Raises:
        PqvError: nothing can be written there.
        OSError: the path cannot be looked up.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise PqvError(f"{path}: cannot be written: it is a folder")
    if mode is not None and not stat.S_ISREG(mode):
        # Not its real path: that of a pipe behind /dev/stdout cannot be opened.
        if not os.access(path, os.W_OK):
            raise PqvError(f"{path}: cannot be written: no permission")
        return path, mode
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not target.parent.is_dir():
        raise PqvError(f"{path}: cannot be written: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PqvError(f"{path}: cannot be written: no permission in {target.parent}")
    return target, mode


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest of those around it that exists."""
    for candidate in (folder, *folder.parents):
        try:
            candidate.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return candidate
    return Path()


def _replace(target: Path, data: bytes, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name[:_NAME_SHOWN]}."
    )
    try:
        try:
            _write_all(descriptor, data)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:  # an interrupt, too
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
