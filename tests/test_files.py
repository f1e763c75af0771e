from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.files import (
    check_apart,
    check_folder,
    check_writable,
    filled_folder,
    make_folder,
    read_text,
    write_atomically,
)


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


@pytest.mark.parametrize("call", ["os.write", "os.fchmod", "os.replace"])
def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(call, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_permissions_of_a_file_stay(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch(0o600)
    write_atomically(target, b"new")
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    link.symlink_to("there/file")
    for data in (b"one", b"two"):  # before there is a file, and after
        write_atomically(link, data)
        assert link.is_symlink() and not target.is_symlink()
        assert target.read_bytes() == data
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    link.unlink()
    link.symlink_to(tmp_path / "no" / "file")
    with pytest.raises(PqvError, match="there is no folder"):
        check_writable(link)
    link.unlink()
    link.symlink_to("link")
    with pytest.raises(PqvError, match=r"symbolic links"):
        check_writable(link)


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, data = tmp_path / "pipe", os.urandom(1 << 20)  # more than a pipe holds at once
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    check_writable(pipe)
    write_atomically(pipe, data)
    reader.join()
    assert found == [data]
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_device_stays_one() -> None:
    write_atomically("/dev/null", b"new")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(PqvError, match="No space left on device"):
        write_atomically("/dev/full", b"new")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(PqvError, match="there is no folder"):
        check_writable(tmp_path / "a" / "b")
    with pytest.raises(PqvError, match="name too long"):
        check_writable(tmp_path / ("n" * 300))
    with pytest.raises(PqvError, match="name too long"):
        make_folder(tmp_path / ("n" * 300))


@pytest.mark.parametrize("length", [240, 255])
def test_names_as_long_as_they_may_be(length: int, tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * length), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * length]


def test_files_that_are_one(tmp_path: Path) -> None:
    path, other, link = (tmp_path / name for name in ("a", "b", "link"))
    link.symlink_to(path)
    for _ in range(2):  # before there is a file, and after
        check_apart(path, [other, None])
        for same in (path, link, tmp_path / "." / "a"):
            with pytest.raises(PqvError, match=f"a: is also {same}, expected two files"):
                check_apart(path, [other, same])
        path.touch()
    check_apart(Path("/dev/null"), [Path("/dev/null")])


def test_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    check_folder(folder)
    assert not (tmp_path / "a").exists()
    assert make_folder(folder) == folder == make_folder(folder)
    assert folder.is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "b" / "c"):
        with pytest.raises(PqvError, match=f"{path}: cannot be made: .*/file is no folder"):
            check_folder(path)


def test_a_new_folder_that_nothing_was_put_into_is_gone(tmp_path: Path) -> None:
    old = make_folder(tmp_path / "old")
    for folder, names, there in ((old, [], True), ("new", [], False), ("kept", ["a"], True)):
        with pytest.raises(KeyboardInterrupt), filled_folder(tmp_path / folder) as made:
            for name in names:
                (made / name).touch()
            raise KeyboardInterrupt
        assert (tmp_path / folder).exists() == there


def test_text_is_read_with_and_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa\nb")
    assert read_text(tmp_path / "t") == "a\nb"
    (tmp_path / "t").write_bytes(b"a\nb")
    assert read_text(tmp_path / "t") == "a\nb"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_device_without_an_end_is_no_text(device: str) -> None:
    with pytest.raises(PqvError, match=f"{device}: is too long: over 16 MB of text"):
        read_text(device)


def test_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="none: there is no such file"):
        read_text(tmp_path / "none")
    with pytest.raises(PqvError, match="cannot be read: Is a directory"):
        read_text(tmp_path)
    (tmp_path / "t").write_bytes(b"\xff")
    with pytest.raises(PqvError, match="t: is no text in UTF-8"):
        read_text(tmp_path / "t")
