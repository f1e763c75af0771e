"""Counting instructions on arm64: the parts that need no model."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.arm64 import emulator
from benchmarks.arm64.baseline import BASELINE, compare, modelled_cycles, update
from benchmarks.arm64.blocks import classify, count_classes, dot_macs, read_profiles
from benchmarks.arm64.chips import CHIPS, VARIANT, Cores, table
from benchmarks.arm64.emulator import CPUS
from pqv_onnx.bench.modelled import MODELLED
from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import OPS


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x4E839440, "dot"),  # sdot v0.4s, v2.16b, v3.16b
        (0x4F83E040, "dot"),  # sdot v0.4s, v2.16b, v3.4b[0]
        (0x6E839440, "dot"),  # udot v0.4s, v2.16b, v3.16b
        (0x4E839C40, "dot"),  # usdot v0.4s, v2.16b, v3.16b
        (0x4E83A440, "dot"),  # smmla v0.4s, v2.16b, v3.16b
        (0xA09FFFE3, "dot"),  # smopa za3.s, p7/m, p7/m, z31.b, z31.b
        (0xA1800000, "dot"),  # usmopa za0.s, p0/m, p0/m, z0.b, z0.b
        (0x0E638040, "multiply"),  # smlal v0.4s, v2.4h, v3.4h
        (0x4E23C040, "multiply"),  # smull2 v0.8h, v2.16b, v3.16b
        (0x4E639C40, "multiply"),  # mul v0.8h, v2.8h, v3.8h
        (0x0F632040, "multiply"),  # smlal v0.4s, v2.4h, v3.h[2]
        (0x6E63B440, "vector"),  # sqrdmulh v0.8h, v2.8h, v3.8h
        (0x4EA38440, "vector"),  # add v0.4s, v2.4s, v3.4s
        (0x4E23CC40, "vector"),  # fmla v0.4s, v2.4s, v3.4s
        (0x1E602820, "vector"),  # fadd d0, d1, d0
        (0x4E037040, "vector"),  # tbx v0.16b, {v2.16b-v5.16b}, v3.16b
        (0x3DC00020, "vector_load"),  # ldr q0, [x1]
        (0xAD400440, "vector_load"),  # ldp q0, q1, [x2]
        (0x4C402040, "vector_load"),  # ld1 {v0.16b-v3.16b}, [x2]
        (0x859F5FDF, "vector_load"),  # ldr z31, [x30, #255, mul vl]
        (0xE10063CF, "vector_load"),  # ldr za[w15, #15], [x30, #15, mul vl]
        (0xE5804000, "vector_store"),  # str z0, [x0]
        (0xE1200000, "vector_store"),  # str za[w12, #0], [x0]
        (0x3D800020, "vector_store"),  # str q0, [x1]
        (0xBC004420, "vector_store"),  # str s0, [x1], #4
        (0x4C002040, "vector_store"),  # st1 {v0.16b-v3.16b}, [x2]
        (0xF9400020, "scalar"),  # ldr x0, [x1]
        (0x8B020020, "scalar"),  # add x0, x1, x2
        (0x54FFFFE1, "scalar"),  # b.ne
    ],
)
def test_classes(word: int, expected: str) -> None:
    assert classify(word) == expected
    assert (dot_macs(word) > 0) == (expected == "dot")


def test_blocks_that_a_page_cuts_are_one(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    add, branch = "8b020020", "54ffffe1"
    lines = [f"1000 2 {add} {branch}", f"1ff8 10 {add} {add}", f"2000 11 {add} {branch}", "", ""]
    dump.write_text("\n".join(lines))
    (profile,) = read_profiles(dump)
    a, b = int(add, 16), int(branch, 16)
    assert profile == Counter({(a, a, a, b): 10, (a, b): 3})
    assert count_classes(profile)["total"] == 46


@pytest.mark.parametrize("variant", emulator.CPUS)
def test_every_op_is_counted(variant: str) -> None:
    """So it has a case in the benchmark of the kernels, too."""
    counted = json.loads(BASELINE.read_text())["kernels"][variant]
    assert {name.split()[0] for name in counted} == set(OPS)


def test_counts_of_some_variants_leave_the_others(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    whole = {
        "tools": {"qemu": "1"},
        "model": "m",
        "models": {"neon": {"pqv-w4a4": 1}, "i8mm": {"pqv-w4a4": 2}},
        "kernels": {"neon": {"old": 3}, "i8mm": {"kernel": 4}},
        "loops": {"neon": {}},
    }
    baseline.write_text(json.dumps(whole))
    counted = {"tools": {"qemu": "2"}, "model": "m", "models": {"neon": {"pqv-w8a8": 5}}}
    update(counted | {"kernels": {"neon": {"new": 6}}, "loops": {}}, baseline)
    found = json.loads(baseline.read_text())
    assert found["tools"] == {"qemu": "2"} and found["loops"] == {"neon": {}}
    assert found["models"] == {"neon": {"pqv-w4a4": 1, "pqv-w8a8": 5}, "i8mm": {"pqv-w4a4": 2}}
    assert found["kernels"] == {"neon": {"new": 6}, "i8mm": {"kernel": 4}}
    with pytest.raises(PqvError, match="the baseline is of m, these counts of n"):
        update(counted | {"model": "n"}, baseline)


def test_what_is_worse_than_the_baseline_is_named(tmp_path: Path) -> None:
    def report(total: int, cycles: float) -> dict[str, object]:
        loop = {"instructions": 9, "macs": 64, "cycles": {"a-core": cycles}, "of_peak": {}}
        return {
            "model": "m",
            "models": {"neon": {"pqv-w4a4": {"total": total}, "ort-fp32": {"total": 5 * total}}},
            "kernels": {"neon": {"kernel": {"work": 1.0, "total": 7}}},
            "loops": {"neon": {"kernel": loop}},
        }

    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(report(1000, 4.0)))
    assert compare(report(1005, 4.0), baseline) == []
    assert compare(report(900, 3.0), baseline) == []
    assert compare(report(1100, 4.0), baseline) == [
        "m, neon, pqv-w4a4, total: 1100, 10.0% more than 1000"
    ]
    (line,) = compare(report(1000, 8.0), baseline)
    assert line.startswith("neon, kernel, cycles of the loop per MAC, a-core")


PROGRAM = """
int main(void) {
  __asm__ volatile("mov x0, #1000\\n b 1f\\n1: hint #0x7e\\n b 2f\\n"
                   "2: add v0.4s, v0.4s, v1.4s\\n subs x0, x0, #1\\n b.ne 2b\\n"
                   "hint #0x7f" ::: "x0", "v0", "cc");
  return 0;
}
"""


def test_the_plugin_counts_a_loop_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("qemu-aarch64", "aarch64-linux-gnu-gcc", "cc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    monkeypatch.setattr(emulator, "FOLDER", tmp_path)
    monkeypatch.setattr(emulator, "BUILD", tmp_path)
    emulator.build_plugin()
    (tmp_path / "loop.c").write_text(PROGRAM)
    command = ["aarch64-linux-gnu-gcc", "-O1", tmp_path / "loop.c", "-o", tmp_path / "loop"]
    subprocess.run(command, check=True)
    _, (profile,) = emulator.profile(emulator.CPUS["neon"], "loop")
    counts = count_classes(profile)
    assert counts["vector"] == 1000
    assert counts["total"] == 3000


def test_phones_are_held_against_what_onnxruntime_runs() -> None:
    cycles = {"neoverse-n1": 100, "cortex-a55": 400}
    entries = {name: {"total": 1, "cycles": cycles} for name in ("pqv-w8a8", "ncnn-int8")}
    found = modelled_cycles({"model": "m", "models": {"dotprod": entries}})
    assert found["cycles"] == {"dotprod": {"pqv-w8a8": cycles}}
    assert found["cores"] == {"dotprod": {"big": "neoverse-n1", "little": "cortex-a55"}}


def test_what_phones_are_held_against_is_of_the_baseline() -> None:
    assert json.loads(MODELLED.read_text()) == modelled_cycles(json.loads(BASELINE.read_text()))


def test_a_roofline_is_the_longer_of_two_times_or_their_sum() -> None:
    cores = Cores("chip", "core", "model", clocks=(2.0, 1.0), one=10, all=16)
    assert cores.bounds(40e6, weights=10_000_000, count=1) == (20.0, 21.0)
    least, most = cores.bounds(3e6, weights=16_000_000, count=2)
    assert (least, most) == (1.0, 2.0)


def test_ours_and_some_peers_are_modelled_on_chips() -> None:
    known = json.loads(BASELINE.read_text())
    whole = [name for name, one in known["models"][VARIANT].items() if "file_bytes" in one]
    assert {"pqv-w4a4", "pqv-w8a8", "ort-static", "executorch-int8"} <= set(whole)
    assert table(known).row_count == len(whole)
    assert {cores.model for cores in CHIPS} == {CPUS[VARIANT].big, CPUS[VARIANT].little}
