from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, write_atomically


def test_written_whole_with_the_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "plain"]


def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def full(source: str, destination: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(PqvError, match="No space left on device"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(PqvError, match="there is no folder"):
        check_writable(tmp_path / "a" / "b")
