from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.workflow.folder import ResultFolder


def test_a_run_goes_on_with_its_own_key_only(tmp_path: Path) -> None:
    assert not ResultFolder(tmp_path / "out").open("a")
    (tmp_path / "out.part" / "done").touch()
    assert ResultFolder(tmp_path / "out").open("a")
    assert (tmp_path / "out.part" / "done").exists()
    with pytest.raises(PqvError, match=r"out\.part: a run of other options or images was stopped"):
        ResultFolder(tmp_path / "out").open("b")
    assert (tmp_path / "out.part" / "done").exists()


def test_a_run_that_was_stopped_before_it_wrote_its_key(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    assert not ResultFolder(tmp_path / "out").open("a")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "mine").touch()
    with pytest.raises(PqvError, match="not of a run that was stopped"):
        ResultFolder(tmp_path / "out")


def test_a_key_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise PqvError("no space")

    monkeypatch.setattr("pqv_onnx.workflow.folder.write_atomically", full)
    with pytest.raises(PqvError, match="no space"):
        ResultFolder(tmp_path / "out").open("a")
    assert not list(tmp_path.iterdir())
