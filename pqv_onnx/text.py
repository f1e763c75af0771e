"""Text of others for a terminal, which obeys the control characters that it is given."""

from __future__ import annotations

_ESCAPES = "unicode_escape"


def printable(text: str) -> str:
    r"""``text`` on one line; what cannot be seen is its escape, ``\n`` or ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode(_ESCAPES).decode() for c in text)
