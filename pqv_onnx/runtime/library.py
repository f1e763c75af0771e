"""Where the op library is, and which of its variants a session gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pqv_onnx
from pqv_onnx.errors import PqvError

LIBRARY_NAME = "libpqv_ops.so"
LIBRARY_VARIABLE = "PQV_LIBRARY"
ISA_VARIABLE = "PQV_ISA"


def get_library_path() -> str:
    """Path of the op library, to give to ``SessionOptions.register_custom_ops_library``.

    The environment variable ``PQV_LIBRARY`` wins over the library inside the package.

    Raises:
        PqvError: there is no library at the named or usual place.
    """
    if named := os.environ.get(LIBRARY_VARIABLE):
        if not Path(named).is_file():
            raise PqvError(f"{LIBRARY_VARIABLE}={named}: there is no such file")
        return named
    for root in pqv_onnx.__path__:
        candidate = Path(root) / "lib" / LIBRARY_NAME
        if candidate.is_file():
            return str(candidate)
    raise PqvError(
        f"the op library {LIBRARY_NAME} is not in this installation of pqv_onnx: "
        f"reinstall the package, or name a built one with {LIBRARY_VARIABLE}"
    )


@contextmanager
def forced_isa(isa: str | None) -> Iterator[None]:
    """Set ``PQV_ISA`` while a session is made; None leaves the environment alone."""
    if isa is None:
        yield
        return
    before = os.environ.get(ISA_VARIABLE)
    os.environ[ISA_VARIABLE] = isa
    try:
        yield
    finally:
        if before is None:
            del os.environ[ISA_VARIABLE]
        else:
            os.environ[ISA_VARIABLE] = before
