"""Text for people: numbers, and what others wrote, whose control characters a terminal obeys."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

_ESCAPES = "unicode_escape"


def printable(text: str) -> str:
    r"""``text`` on one line; what cannot be seen is its escape, ``\n`` or ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode(_ESCAPES).decode() for c in text)


def similar(typed: str, names: Iterable[str], most: int = 3) -> str:
    """Names like the one typed, ``a or b``: those that it begins first, the shortest in front."""
    names = list(names)
    begun = sorted((name for name in names if name.startswith(typed)), key=len)
    near = difflib.get_close_matches(typed, names, most)
    return " or ".join([*dict.fromkeys(begun + near)][:most])


def decimals(value: float | None, places: int = 2) -> str:
    """A number with so many decimals; nothing for what is not known, None or NaN."""
    return "" if value is None or math.isnan(value) else f"{value:.{places}f}"
