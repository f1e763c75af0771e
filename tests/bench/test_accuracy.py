"""The ablation's parts that take no training."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy import report
from benchmarks.accuracy.ablation import _append, _known, recipe_of
from benchmarks.accuracy.rows import ROWS, Row

PLAIN = next(row for row in ROWS if row.precision == "w4a4")
OUTLIERS = next(row for row in ROWS if row.float_model == "outliers")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.key))
def test_every_row_is_a_recipe(row: Row) -> None:
    recipe = recipe_of(row, seed=3, steps=2)
    assert recipe.train.seed == 3 and recipe.train.max_steps == 2
    for key, value in row.changes:
        found = recipe
        for name in key.split("."):
            found = getattr(found, name)
        assert str(found) == value or found == float(value)


def test_rows_have_names_of_their_own() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_results_are_kept_and_summarized(tmp_path: Path) -> None:
    results = tmp_path / "results.csv"
    for seed, top1 in enumerate((90.0, 91.0, 92.0)):
        _append(results, ROWS[0], seed, top1, None)
        _append(results, PLAIN, seed, top1, top1 - 0.5)
        _append(results, OUTLIERS, seed, top1 - 4, None)
    assert (*PLAIN.key, "2") in _known(results)
    assert (*PLAIN.key, "3") not in _known(results)
    report.write_report(results, tmp_path)
    table = (tmp_path / "ablation.md").read_text()
    assert "| 91.00 ± 1.00 |  | +0.00 ± 0.00 |" in table
    assert "| 91.00 ± 1.00 | 90.50 ± 1.00 | -0.50 ± 0.00 |" in table
    assert "| 87.00 ± 1.00 |  | +0.00 ± 0.00 |" in table  # to the float model of its own
    assert (tmp_path / "ablation.png").stat().st_size > 0
