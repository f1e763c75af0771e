"""Comparing two runs of a graph, value by value, in the graph's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """The first node whose output differs between two runs, and how it does."""

    node: str
    op_type: str
    detail: str

    def __str__(self) -> str:
        return f"{self.node} ({self.op_type}): {self.detail}"


@dataclass(frozen=True)
class Comparison:
    """One candidate against the reference on one batch.

    ``compared`` counts the node outputs looked at; ``difference`` is None for equal bits.
    """

    reference: str
    candidate: str
    batch: int
    compared: int
    difference: Difference | None


def differing_bits(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Mask of elements whose bits differ; NaN equals NaN of the same bits, 0.0 is not -0.0."""
    if expected.dtype.kind == "f":
        bits = np.dtype(f"u{expected.dtype.itemsize}")
        expected, found = (np.ascontiguousarray(a).view(bits) for a in (expected, found))
    return expected != found


def describe_difference(expected: np.ndarray, found: np.ndarray) -> str | None:
    """How two arrays differ, in words; None if they are equal to the bit."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return (
            f"{expected.dtype}{list(expected.shape)} expected, "
            f"{found.dtype}{list(found.shape)} found"
        )
    mask = differing_bits(expected, found)
    if not mask.any():
        return None
    index = tuple(int(i) for i in np.argwhere(mask)[0])
    return (
        f"{int(mask.sum())} of {mask.size} values differ, first at {list(index)}: "
        f"{expected[index]} expected, {found[index]} found"
    )


def first_difference(
    nodes: list[tuple[str, str, str]], expected: Values, found: Values
) -> tuple[int, Difference | None]:
    """Compare the values that both runs have, in the order of ``nodes``.

    Args:
        nodes: (node name, op type, output value name) in topological order.
        expected: value name -> array, of the reference.
        found: the same of the candidate.

    Returns:
        the number of values compared, and the first difference.
    """
    compared = 0
    for node, op_type, value in nodes:
        if value not in expected or value not in found:
            continue
        compared += 1
        detail = describe_difference(expected[value], found[value])
        if detail is not None:
            return compared, Difference(node, op_type, detail)
    return compared, None
