"""Which instructions a program executed: the dumps of block_count.c, by class of instruction."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

CLASSES = ("dot", "multiply", "vector", "vector_load", "vector_store", "scalar")

# How often each basic block ran; a block is the words of its instructions.
Profile = Counter[tuple[int, ...]]


class _Line(NamedTuple):
    address: int
    count: int
    words: tuple[int, ...]


# Masks and bits of encodings (Arm Architecture Reference Manual, C4.1, "Data Processing --
# Scalar Floating-Point and Advanced SIMD").
_DOT = (
    (0x9FE0FC00, 0x0E809400),  # SDOT, UDOT
    (0xBFE0FC00, 0x0E809C00),  # USDOT
    (0x9FC0F400, 0x0F80E000),  # SDOT, UDOT by element
    (0xBFC0F400, 0x0F80F000),  # USDOT by element
    (0xBFC0F400, 0x0F00F000),  # SUDOT by element
)
_MATRIX = (
    (0xDFE0FC00, 0x4E80A400),  # SMMLA, UMMLA
    (0xFFE0FC00, 0x4E80AC00),  # USMMLA
)
_OUTER = (0xFEC0001C, 0xA0800000)  # SMOPA, UMOPA, USMOPA, SUMOPA of bytes
_LOADS = ((0xFFC0E000, 0x85804000), (0xFFFF8000, 0xE1000000))  # LDR of a vector of SVE, of ZA
_STORES = ((0xFFC0E000, 0xE5804000), (0xFFFF8000, 0xE1200000))
_SME_BYTES = 64  # of a vector, where our kernels use outer products
# Of integers; those that keep the high half are arithmetic like any other.
_MULTIPLY = (
    (0x9F20FC00, 0x0E209400),  # MLA, MLS
    (0x9F20FC00, 0x0E209C00),  # MUL, PMUL
    (0x9F20DC00, 0x0E208000),  # SMLAL, UMLAL, SMLSL, UMLSL
    (0x9F20FC00, 0x0E20C000),  # SMULL, UMULL
    (0x9F20DC00, 0x0E209000),  # SQDMLAL, SQDMLSL
    (0x9F20FC00, 0x0E20D000),  # SQDMULL
    (0xBF00B400, 0x2F000000),  # MLA, MLS by element
    (0xBF00F400, 0x0F008000),  # MUL by element
    (0x9F00B400, 0x0F002000),  # SMLAL, UMLAL, SMLSL, UMLSL by element
    (0x9F00F400, 0x0F00A000),  # SMULL, UMULL by element
)


def _matches(word: int, encodings: tuple[tuple[int, int], ...]) -> bool:
    return any(word & mask == bits for mask, bits in encodings)


def dot_macs(word: int) -> int:
    """Multiply-accumulates of a dot, matrix or outer product on whole vectors, else 0."""
    if _matches(word, (_OUTER,)):
        return 4 * (_SME_BYTES // 4) ** 2
    if _matches(word, _MATRIX):
        return 32
    return 16 if _matches(word, _DOT) else 0


@cache
def classify(word: int) -> str:
    """The class of an instruction. Scalar floating point counts as vector: it is the same unit."""
    if _matches(word, _LOADS):
        return "vector_load"
    if _matches(word, _STORES):
        return "vector_store"
    if dot_macs(word):
        return "dot"
    group = word >> 25 & 15
    if group & 5 == 4 and word >> 26 & 1:  # loads and stores of vector registers
        is_literal = word & 0x3B000000 == 0x18000000
        return "vector_load" if is_literal or word >> 22 & 1 else "vector_store"
    if group & 7 != 7:
        return "scalar"
    return "multiply" if _matches(word, _MULTIPLY) else "vector"


def is_branch(word: int) -> bool:
    return word >> 26 & 7 == 5


def read_profiles(path: Path) -> list[Profile]:
    """The regions of a dump, in the order in which they ended."""
    profiles = []
    lines: list[_Line] = []
    for text in path.read_text().splitlines():
        if not text:
            profiles.append(_join(lines))
            lines = []
            continue
        address, count, *words = text.split(" ")
        lines.append(_Line(int(address, 16), int(count), tuple(int(w, 16) for w in words)))
    return profiles


def _join(lines: list[_Line]) -> Profile:
    """Blocks that are cut only because a page of memory ends in them are one block."""
    profile: Profile = Counter()
    before = _Line(0, 0, ())
    for line in sorted(lines):
        is_cut = before.address + 4 * len(before.words) == line.address
        if before.words and is_cut and not is_branch(before.words[-1]):
            both = min(before.count, line.count)
            profile[before.words + line.words] += both
            profile[before.words] -= both
            line = line._replace(count=line.count - both)
        profile[line.words] += line.count
        before = line
    return +profile


def count_classes(profile: Profile) -> dict[str, int]:
    """Executed instructions by class, and their total."""
    counts = dict.fromkeys(CLASSES, 0)
    for words, count in profile.items():
        for word in words:
            counts[classify(word)] += count
    return counts | {"total": sum(counts.values())}


def hottest(profile: Profile) -> tuple[int, ...]:
    """The block that the most instructions were executed in."""
    return max(profile, key=lambda words: profile[words] * len(words))
