"""How the package says no: the module's path, what was found, and what is taken instead."""

from __future__ import annotations

from typing import NoReturn

from pqv_onnx.errors import PqvError


def refuse(path: str, found: str, expected: str = "") -> NoReturn:
    """Raise PqvError with one sentence: ``path: found, expected expected``.

    Args:
        path: of the module in whose forward it was found; empty for the model itself.
        found: what no rule takes.
        expected: what a rule would take, if there is one.
    """
    raise PqvError(f"{path or 'model'}: {found}" + (f", expected {expected}" if expected else ""))
