from __future__ import annotations

import copy
from typing import Any

import pytest

from pqv_onnx.demo import report

QUANTIZED = {
    "top1_fakequant": 98.0,
    "top1_oracle": 98.0,
    "top1_onnxruntime": 98.0,
    "top1_functions": 98.0,
    "bytes": 100,
    "latency_ms": 1.0,
    "float_nodes": 0,
    "bit_exact": True,
}
GOOD: dict[str, Any] = {
    "data": {"train": 1, "test": 1},
    "float": {"top1": 98.0, "bytes": 1000, "latency_ms": 1.0},
    "w8a8": dict(QUANTIZED),
    "w4a4": dict(QUANTIZED),
}


def test_kept_promises() -> None:
    assert report.missed_promises(GOOD) == []


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("float", "top1", 95.9, "float: top-1 is 95.90%"),
        ("w8a8", "top1_onnxruntime", 97.4, "w8a8: top-1 is 97.40%, at most 0.5 below"),
        ("w4a4", "top1_onnxruntime", 95.9, "w4a4: top-1 is 95.90%, at most 2.0 below"),
        ("w4a4", "bytes", 301, "w4a4: 0.301 of the float file"),
        ("w8a8", "bit_exact", False, "w8a8: oracle, library and functions do not"),
        ("w4a4", "float_nodes", 2, "w4a4: 2 float nodes"),
    ],
)
def test_missed_promise_is_named(name: str, key: str, value: Any, words: str) -> None:
    found = copy.deepcopy(GOOD)
    found[name][key] = value
    (sentence,) = report.missed_promises(found)
    assert sentence.startswith(words)
