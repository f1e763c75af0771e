"""How long work tells whoever waits for it how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, float], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""


def silent(stage: str, done: float, total: float) -> None:
    """Tell nobody."""
