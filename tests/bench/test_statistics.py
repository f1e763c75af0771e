from __future__ import annotations

import pytest

from pqv_onnx.bench.statistics import ratio, summarize


def test_summary_is_in_milliseconds_and_ignores_order() -> None:
    summary = summarize([0.005, 0.001, 0.003, 0.002, 0.004])
    assert summary.median == pytest.approx(3.0)
    assert summary.p10 == pytest.approx(1.4)
    assert summary.p90 == pytest.approx(4.6)
    assert summary.runs == 5


def test_summary_of_one_run() -> None:
    summary = summarize([0.002])
    assert summary.median == summary.p10 == summary.p90 == pytest.approx(2.0)


def test_ratio_is_of_medians() -> None:
    assert ratio([6.0, 6.0, 100.0], [2.0, 1.0, 3.0]) == pytest.approx(3.0)
