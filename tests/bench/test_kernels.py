"""The benchmark of single ops, on cases small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.kernels import __main__ as kernels
from benchmarks.kernels import report
from benchmarks.kernels.cases import (
    ATTENTION,
    GELU,
    LAYER_NORM,
    MATMUL,
    SOFTMAX,
    WINDOWS,
    Case,
    make_cases,
)
from benchmarks.kernels.contestants import CONTESTANTS
from benchmarks.kernels.worker import measure
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.info import library_info

SMALL = [
    Case(MATMUL, "small", (3, 32, 16)),
    Case(ATTENTION, "small", (1, 2, 5, 8)),
    Case(WINDOWS, "small", (4, 2, 4, 8)),
    Case(LAYER_NORM, "small", (3, 16)),
    Case(GELU, "small", (3, 16)),
    Case(SOFTMAX, "small", (6, 5)),
]
CONFIG = {"warmup": 1, "runs": 2, "seconds": 5.0, "peaks": None, "quick": True}


def config(**more: Any) -> dict[str, Any]:
    names = [name for name, one in CONTESTANTS.items() if not one.is_missing()]
    return {**CONFIG, "contestants": names, **more}


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_everybody_runs(case: Case) -> None:
    record = measure(case, config())
    expected = {"pqv-int8", "ort-fp32"} | ({"openvino-fp32"} & set(config()["contestants"]))
    assert expected <= set(record["rates"])
    assert all(rate > 0 for rate in record["rates"].values())
    assert record["ops"]["pqv-int8"].startswith(("PackedInt8", "Int"))


def test_the_report_names_what_is_fastest(tmp_path: Path) -> None:
    rates = {"pqv-int8": 6e9, "pqv-int4": 9e9, "ort-fp32": 2e9, "ort-nbits": 3e9}
    record = {
        "kind": MATMUL, "model": "small", "shape": [3, 32, 16], "is_product": True,
        "rates": rates, "ops": {"ort-fp32": "Gemm", "ort-nbits": "MatMulNBits"},
    }  # fmt: skip
    peaks = {"avx2": 12e9, "avx2 int4": 18e9}
    measured = {"cap": "native", "kernels": "avx2", "records": [record], "peaks": peaks}
    result = {
        "machine": kernels.describe_machine(("onnxruntime",)),
        "titles": {name: CONTESTANTS[name].title for name in rates},
        "skipped": ["a peer: a reason"],
        "isas": [measured],
    }
    report.write(result, tmp_path)
    text = (tmp_path / "kernels.md").read_text()
    row = "| 6.0 (50%) | 2.00 | 9.0 (50%) | 3.00 | 2.0 | **3.0** |"
    for words in (f"MatMul 3 x 32 x 16 {row}", "a reason", "ort fp32: Gemm", "avx2 int4 18"):
        assert words in text


def test_the_worker_says_a_line_per_case() -> None:
    asked = config(contestants=["pqv-int4"], runs=1)
    answers = list(kernels._run_worker(asked, {"PQV_ISA": "scalar"}))
    assert answers[0] == "scalar"
    assert [tuple(one["shape"]) for one in answers[1:]] == [c.shape for c in make_cases(quick=True)]


def test_our_isa_is_held_down() -> None:
    if "avx2" not in library_info()["available"]:
        pytest.skip("this CPU has no avx2")
    if kernels.trap() is None:
        pytest.skip("CPUID cannot be trapped on this machine")
    asked = config(contestants=[])
    measured = kernels._measure("avx2", asked, [])
    assert measured is not None and measured["kernels"] == "avx2"


def test_unknown_names_are_errors() -> None:
    with pytest.raises(PqvError, match="unknown peer 'tvm', expected one of ort-fp32"):
        kernels._chosen(["tvm"], None, [])
    with pytest.raises(PqvError, match="unknown ISA 'sse'"):
        kernels._chosen(None, ["sse"], [])
    assert kernels._chosen(["none"], None, []) == ["pqv-int8", "pqv-int4"]
