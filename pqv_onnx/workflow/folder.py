"""A folder of results that appears complete, or leaves to the next run what is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_folder, filled_folder, write_atomically

_KEY = "key.txt"


def unfinished(output: Path) -> Path:
    """Where a folder is made until it is whole."""
    return output.with_name(f"{output.name}.part")


class ResultFolder:
    """``OUT``, made in ``OUT.part``.

    Attributes:
        path: where files are put until the end.
        output: where they are in the end.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        """Refuse an ``output`` that is there already and has something in it.

        Raises:
            PqvError: it is, or cannot be made, or is a link.
        """
        if Path(output).name in ("", ".."):
            raise PqvError(
                f"the output is {os.fspath(output)!r}, expected the name of a new folder"
            )
        if Path(output).is_symlink():
            raise PqvError(f"{output}: is a link, expected a folder that is not there yet")
        self.output = check_folder(output)
        self.path = unfinished(self.output)
        if self.output.exists() and any(self.output.iterdir()):
            raise PqvError(f"{output}: is there already and not empty: give another folder")
        left = self.path.exists() and any(self.path.iterdir())
        if left and not (self.path / _KEY).is_file():
            raise PqvError(f"{self.path}: is there already, and not of a run that was stopped")

    @contextmanager
    def open(self, key: str) -> Iterator[bool]:
        """Make the folder, or take over that of a run with the same key.

        If the block fails before anything is in it, it is gone.

        Args:
            key: of all that the files depend on.

        Yields:
            Whether a run that was stopped has left something.

        Raises:
            PqvError: one with another key has.
        """
        left = (self.path / _KEY).is_file()
        if left and (self.path / _KEY).read_text() != key:
            raise PqvError(
                f"{self.path}: a run of other options or images was stopped there: "
                "give it again to go on, or remove the folder"
            )
        if not left:
            with filled_folder(self.path):
                write_atomically(self.path / _KEY, key.encode())
        try:
            yield left
        except BaseException:  # an interrupt, too
            if [path.name for path in self.path.glob("*")] == [_KEY]:
                shutil.rmtree(self.path)
            raise

    def finish(self, names: set[str]) -> None:
        """Give the folder its name, and keep of its files those of these names."""
        try:
            os.replace(self.path, self.output)
        except OSError as error:
            raise PqvError(f"{self.output}: cannot be made: {error.strerror}") from error
        for path in self.output.iterdir():
            if path.name not in names and not path.is_dir():  # no run makes folders in it
                path.unlink()
