"""What the counted cycles come to on chips that one can buy: `python -m benchmarks.arm64.chips`.

A roofline: the cores compute at the pace that llvm-mca gives them, and the weights are read from
memory once an inference. The least time is the longer of the two, which overlap; the most is their
sum. Activations stay in the caches: the largest of DeiT-Tiny has 151 KB. Several cores share the
work evenly, which no scheduler beats; what else an engine loses there is what a measurement shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arm64.baseline import BASELINE


@dataclass(frozen=True)
class Cores:
    """Equal cores of a chip, with dot products.

    Attributes:
        chip: its name.
        core: the core's name.
        model: the core of llvm-mca that stands for it.
        clocks: GHz of each.
        one: GB/s that one core reads from memory: taken, the makers do not say.
        all: GB/s that the memory gives, as the makers say.
    """

    chip: str
    core: str
    model: str
    clocks: tuple[float, ...]
    one: float
    all: float

    def bounds(self, cycles: float, weights: int, count: int) -> tuple[float, float]:
        """The least and the most milliseconds of an inference.

        Args:
            cycles: of one core that computes it all.
            weights: bytes that are read from memory.
            count: cores that share it.
        """
        computing = cycles / sum(self.clocks[:count]) * 1e-6
        reading = weights / min(self.one * count, self.all) * 1e-6
        return max(computing, reading), computing + reading


CHIPS = (
    Cores("Raspberry Pi 5", "Cortex-A76", "neoverse-n1", (2.4,) * 4, 8, 17),
    Cores("Snapdragon 870", "Cortex-A77", "neoverse-n1", (3.2, 2.42, 2.42, 2.42), 15, 44),
    Cores("Snapdragon 870", "Cortex-A55", "cortex-a55", (1.8,) * 4, 5, 44),
)
VARIANT = "dotprod"

PUBLISHED = {("Raspberry Pi 5", "executorch-int8"): 26.4}
"""Milliseconds on Arm's model card of DeiT-Tiny; we do not know on how many cores."""


def table(known: dict[str, Any]) -> Table:
    """The roofline of each model of a baseline on each of the chips."""
    title = f"{known['model']}: modelled milliseconds of one inference, from the least to the most"
    table = Table("", "", title=title)
    for cores in CHIPS:
        for count in (1, len(cores.clocks)):
            table.add_column(f"{count} x {cores.core}\n{cores.chip}", justify="right")
    for name, entry in known["models"][VARIANT].items():
        if "file_bytes" in entry:  # counted since these are kept
            table.add_row(name, f"{entry['file_bytes'] * 1e-6:.1f} MB", *_cells(name, entry))
    return table


def _cells(name: str, entry: dict[str, Any]) -> list[str]:
    cells = []
    for cores in CHIPS:
        for count in (1, len(cores.clocks)):
            least, most = cores.bounds(entry["cycles"][cores.model], entry["file_bytes"], count)
            cells.append(f"{least:.1f} to {most:.1f}")
        if measured := PUBLISHED.get((cores.chip, name)):
            cells[-1] += f"\nmeasured: {measured}"
    return cells


if __name__ == "__main__":
    Console(width=150).print(table(json.loads(BASELINE.read_text())))
