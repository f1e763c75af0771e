"""Files that are either whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pqv_onnx.errors import PqvError


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The path, if a file can be made there; asked before long work, not after it.

    Raises:
        PqvError: its folder does not exist or cannot be written, or it is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise PqvError(f"{target}: cannot be written: it is a folder")
    if not target.parent.is_dir():
        raise PqvError(f"{target}: cannot be written: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise PqvError(f"{target}: cannot be written: no permission in {target.parent}")
    return target


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The path, made a folder that files can be written to; asked before long work.

    Raises:
        PqvError: it cannot be made or written to.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PqvError(f"{folder}: cannot be made: {error.strerror}") from error
    check_writable(folder / "file")
    return folder


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to a temporary file beside ``path``, then rename it into place.

    Raises:
        PqvError: the file cannot be written; what was at ``path`` before is still there.
    """
    target = check_writable(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            temporary = file.name
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise PqvError(f"{target}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
