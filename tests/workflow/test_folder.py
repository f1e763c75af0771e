from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.workflow.folder import ResultFolder


def test_a_run_goes_on_with_its_own_key_only(tmp_path: Path) -> None:
    with ResultFolder(tmp_path / "out").open("a") as left:
        assert not left
        (tmp_path / "out.part" / "done").touch()
    with ResultFolder(tmp_path / "out").open("a") as left:
        assert left and (tmp_path / "out.part" / "done").exists()
    folder = ResultFolder(tmp_path / "out")
    reason = r"out\.part: a run of other options or images was stopped"
    with pytest.raises(PqvError, match=reason), folder.open("b"):
        pass
    assert (tmp_path / "out.part" / "done").exists()


def test_a_run_that_was_stopped_before_it_wrote_its_key(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    with ResultFolder(tmp_path / "out").open("a") as left:
        assert not left


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "mine").touch()
    with pytest.raises(PqvError, match="not of a run that was stopped"):
        ResultFolder(tmp_path / "out")


def test_a_key_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise PqvError("no space")

    monkeypatch.setattr("pqv_onnx.workflow.folder.write_atomically", full)
    folder = ResultFolder(tmp_path / "out")
    with pytest.raises(PqvError, match="no space"), folder.open("a"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_before_it_has_made_anything(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), ResultFolder(tmp_path / "out").open("a"):
            raise KeyboardInterrupt
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ".", "/", ".."])
def test_a_folder_without_a_name(name: str) -> None:
    with pytest.raises(PqvError, match=f"the output is '{name}', expected the name"):
        ResultFolder(name)


def test_a_link_is_no_new_folder(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "none")
    with pytest.raises(PqvError, match="out: is a link"):
        ResultFolder(tmp_path / "out")


def test_the_end_comes_whole_or_can_be_tried_again(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path / "out")
    with folder.open("a"):
        for name in ("model", "checkpoint"):
            (folder.path / name).touch()
        (folder.path / "made by others").mkdir()
        folder.output.touch()
        with pytest.raises(PqvError, match="out: cannot be made: Not a directory"):
            folder.finish({"model"})
        assert len(list(folder.path.iterdir())) == 4
        folder.output.unlink()
        folder.finish({"model"})
    assert {path.name for path in folder.output.iterdir()} == {"model", "made by others"}
