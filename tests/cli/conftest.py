from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pqv_onnx.cli import main, options


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a failed command."""
        assert self.code == 1, self.out + self.err
        lines = [line for line in self.err.splitlines() if line.startswith("pqv: error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


Pqv = Callable[..., Done]


@pytest.fixture
def pqv(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Pqv:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["pqv", *map(str, arguments)])
        # The consoles take it when they are made, and these are made by whoever imports them first.
        monkeypatch.setattr(options.console, "width", 200)
        monkeypatch.setenv("COLUMNS", "200")
        code = 0
        try:
            main.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capfd.readouterr()
        return Done(code, captured.out, captured.err)

    return run
