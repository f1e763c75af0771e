"""What a run of the benchmark on pretrained weights keeps, and skips the next time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.accuracy.pretrained.__main__ import run_rows
from benchmarks.accuracy.pretrained.evaluate import Scores
from benchmarks.accuracy.pretrained.report import Result, Settings, add_result, read_results
from benchmarks.accuracy.pretrained.rows import ROWS, Row, select
from pqv_onnx.errors import PqvError

SETTINGS = Settings("images", 28, 8, 4, 8, 6, 0)


@dataclass
class Stub:
    """A run whose rows take no time."""

    output: Path
    settings: Settings = SETTINGS
    broken: str = ""
    done: list[str] = field(default_factory=list)
    without: str = ""  # what all rows need

    @property
    def reference(self) -> None:
        if self.without:
            raise PqvError(f"{self.without}: no such folder")

    def run(self, row: Row) -> Result:
        if row.key == self.broken:
            raise RuntimeError("out of luck")
        self.done.append(row.key)
        top1 = 90.0 if row.kind == "float" else 80.0
        return Result(row, Scores(top1, 12.0, 0.95), 1.5)


@pytest.fixture
def rows() -> list[Row]:
    return select(["float onnx*", "w8a8 full", "w4a4 plain"])


def test_finished_rows_are_skipped(tmp_path: Path, rows: list[Row]) -> None:
    stub = Stub(tmp_path)
    run_rows(stub, rows[:2])
    run_rows(stub, rows)
    assert stub.done == [row.key for row in rows]
    run_rows(stub, rows[:1], again=True)
    assert stub.done[3:] == [rows[0].key]
    assert list(read_results(tmp_path / "results.csv", SETTINGS)) == [row.key for row in rows]


def test_other_settings_are_other_results(tmp_path: Path, rows: list[Row]) -> None:
    run_rows(Stub(tmp_path), rows)
    other = Stub(tmp_path, replace(SETTINGS, test_images=3))
    run_rows(other, rows[:1])
    assert other.done == [rows[0].key]
    assert len(read_results(tmp_path / "results.csv", SETTINGS)) == 3
    assert len(read_results(tmp_path / "results.csv", other.settings)) == 1


def test_after_a_failed_row_the_others_go_on(
    tmp_path: Path, rows: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    stub = Stub(tmp_path, broken=rows[1].key)
    assert run_rows(stub, rows) == [rows[1].key]
    assert stub.done == [rows[0].key, rows[2].key]
    assert f"{rows[1].key}: failed: out of luck" in capsys.readouterr().out
    stub.broken = ""
    assert run_rows(stub, rows) == []
    assert stub.done[2:] == [rows[1].key]


def test_what_all_rows_lack_ends_the_run(tmp_path: Path, rows: list[Row]) -> None:
    with pytest.raises(PqvError, match="images: no such folder"):
        run_rows(Stub(tmp_path, without="images"), rows)
    run_rows(Stub(tmp_path), rows)
    assert run_rows(Stub(tmp_path, without="images"), rows) == []  # nothing is left to do


def test_the_report_has_every_finished_row(tmp_path: Path, rows: list[Row]) -> None:
    run_rows(Stub(tmp_path), rows)
    table = (tmp_path / "results.md").read_text()
    assert "| float | onnxruntime | 90.00 | +0.00 | | | 1.5 |" in table
    assert "| w8a8 | ours, full | 80.00 | -10.00 | 12.0 | 0.9500 | 1.5 |" in table
    assert (tmp_path / "results.png").stat().st_size > 0


def test_a_result_replaces_its_older_one(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    for top1 in (50.0, 60.0):
        add_result(path, SETTINGS, Result(ROWS[0], Scores(top1, float("inf"), 1.0), 0.0))
    (found,) = read_results(path, SETTINGS).values()
    assert found.scores.top1 == 60 and len(path.read_text().splitlines()) == 2
