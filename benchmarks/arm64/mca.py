"""Cycles of basic blocks as llvm-mca models them.

llvm-mca knows the latencies and the units of a core. It sees no cache, no memory bandwidth and no
branch that is predicted wrong: what it gives is modelled, not measured.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable

from benchmarks.arm64.blocks import Profile, dot_macs

VERSION = "19"  # another one has other models
CORES = ("neoverse-n1", "cortex-a55", "neoverse-n2")
COVERED = 0.99  # of the instructions of a profile are modelled block by block
_ITERATIONS = 100
_CALL_CYCLES = 1  # a branch; what is called has blocks of its own, which are counted
_SDOT = 0x4E809400  # sdot v0.4s, v0.16b, v0.16b
_SMMLA = 0x4E80A400


def is_available() -> bool:
    return all(shutil.which(f"{tool}-{VERSION}") for tool in ("llvm-mc", "llvm-mca"))


def _disassemble(words: Iterable[int]) -> dict[int, str]:
    """The text of each instruction that llvm knows."""
    unique = sorted(set(words))
    hexadecimal = "\n".join(
        " ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for word in unique
    )
    command = [f"llvm-mc-{VERSION}", "--disassemble", "--show-encoding"]
    command += ["--triple=aarch64", "--mattr=+all"]
    done = subprocess.run(command, input=hexadecimal, capture_output=True, text=True, check=False)
    texts = {}
    for line in done.stdout.splitlines():
        if match := re.match(r"\s+(.*\S)\s+// encoding: \[(.*)\]", line):
            code = bytes(int(byte, 16) for byte in match[2].split(","))
            texts[int.from_bytes(code, "little")] = match[1]
    return texts


def block_cycles(blocks: Iterable[tuple[int, ...]], core: str) -> dict[tuple[int, ...], float]:
    """Cycles of each block, repeated again and again; without those that the core cannot run."""
    listed = list(blocks)
    texts = _disassemble(word for words in listed for word in words)
    return _model([words for words in listed if all(word in texts for word in words)], texts, core)


def _model(
    blocks: list[tuple[int, ...]], texts: dict[int, str], core: str
) -> dict[tuple[int, ...], float]:
    source = "".join(
        "\n".join(
            [f"# LLVM-MCA-BEGIN b{i}", *(texts[word] for word in words), f"# LLVM-MCA-END b{i}\n"]
        )
        for i, words in enumerate(blocks)
    )
    command = [f"llvm-mca-{VERSION}", "-mtriple=aarch64", f"-mcpu={core}", "-json"]
    command += [f"-iterations={_ITERATIONS}", f"-call-latency={_CALL_CYCLES}"]
    command += ["-resource-pressure=0", "-instruction-info=0"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        regions = json.loads(done.stdout)["CodeRegions"]
        totals = {int(one["Name"][1:]): one["SummaryView"]["TotalCycles"] for one in regions}
        return {blocks[i]: total / _ITERATIONS for i, total in totals.items()}
    # One instruction that the core has not fails them all.
    half = len(blocks) // 2
    if half == 0:
        return {}
    return _model(blocks[:half], texts, core) | _model(blocks[half:], texts, core)


def profile_cycles(profile: Profile, core: str) -> float:
    """Cycles of all blocks of a profile.

    The blocks that most instructions were executed in are modelled, each as if it came right after
    itself; the rest is taken to run at the same instructions per cycle.
    """
    total = sum(count * len(words) for words, count in profile.items())
    chosen, instructions = [], 0
    for words, count in sorted(profile.items(), key=lambda item: -item[1] * len(item[0])):
        if instructions >= COVERED * total:
            break
        chosen.append(words)
        instructions += count * len(words)
    cycles = block_cycles(chosen, core)
    modelled = sum(profile[words] * len(words) for words in cycles)
    if not modelled:
        return float("nan")
    return sum(profile[words] * c for words, c in cycles.items()) * total / modelled


def peak_macs_per_cycle(core: str, matrix: bool) -> float:
    """Multiply-accumulates per cycle of dot products (or matrix products) that wait for nothing."""
    instruction = _SMMLA if matrix else _SDOT
    # Sums in v0 .. v15, factors in v16 and v17.
    words = tuple(instruction | 17 << 16 | 16 << 5 | sum_ for sum_ in range(16))
    cycles = block_cycles([words], core)
    return sum(map(dot_macs, words)) / cycles[words] if cycles else float("nan")
