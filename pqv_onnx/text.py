"""Text for people: numbers, and what others wrote, whose control characters a terminal obeys."""

from __future__ import annotations

import math

_ESCAPES = "unicode_escape"


def printable(text: str) -> str:
    r"""``text`` on one line; what cannot be seen is its escape, ``\n`` or ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode(_ESCAPES).decode() for c in text)


def decimals(value: float | None, places: int = 2) -> str:
    """A number with so many decimals; nothing for what is not known, None or NaN."""
    return "" if value is None or math.isnan(value) else f"{value:.{places}f}"
