"""What an inference should take on arm64, to be held against what it takes.

``benchmarks/arm64`` writes ``modelled.json``: the cycles of one network, on one thread of a big and
of a little core, by the instructions that ran under emulation. It knows no cache, no memory and no
mispredicted branch: what it gives is a floor.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODELLED = Path(__file__).with_name("modelled.json")


@dataclass(frozen=True)
class Floor:
    """A modelled time.

    Attributes:
        core: that was modelled.
        mhz: its clock.
        ms: milliseconds of one inference.
    """

    core: str
    mhz: float
    ms: float


def floor(
    network: str | None, name: str | None, variant: str | None, mhz: float, little: bool = False
) -> Floor | None:
    """The modelled time of a file; None where it was not modelled.

    Args:
        network: timm's name for the model.
        name: ``pqv-`` and a precision, or one of the others' names in ``benchmarks/end_to_end``.
        variant: of the op library's kernels, best that the processor runs.
        mhz: clock of the core, 0 if unknown.
        little: whether the core is a little one.
    """
    known = _read(MODELLED)
    cycles = known["cycles"].get(variant, {}).get(name)
    if network != known["model"] or cycles is None or not mhz:
        return None
    core = known["cores"][variant]["little" if little else "big"]
    return Floor(core, mhz, cycles[core] / mhz / 1000)


def described() -> str:
    """What was modelled, in words."""
    known = _read(MODELLED)
    names = {name for cycles in known["cycles"].values() for name in cycles}
    ours = sorted(name.removeprefix("pqv-") for name in names if name.startswith("pqv-"))
    return f"{known['model']} on one thread, at {', '.join(ours)}"


@functools.cache
def _read(path: Path) -> Any:
    return json.loads(path.read_text())
