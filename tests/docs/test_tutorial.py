"""docs/tutorial.md: its Python, block by block, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", TUTORIAL.read_text(), re.M | re.S)
    exec(compile("\n".join(blocks), str(TUTORIAL), "exec"), {"__name__": "tutorial"})
    tops = re.findall(r"^(float|W8A8): ([\d.]+)%$", capsys.readouterr().out, re.M)
    assert [name for name, _ in tops] == ["float", "W8A8"]
    assert all(float(top) > 80 for _, top in tops)  # it learned to read
