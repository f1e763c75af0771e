"""Every command that the documents show exists, and has the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from pqv_onnx.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "examples/README.md", "export/README.md")
SOURCES = sorted({ROOT / name for name in DOCUMENTS} | set((ROOT / "docs").glob("*.md")))


def commands(text: str) -> list[str]:
    """What begins with ``pqv`` in indented lines that do, and in backticks."""
    blocks = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    lines = re.sub(r"\\\n\s*", "", blocks).splitlines()
    found = [p for line in lines if line.startswith("pqv ") for p in re.split(r"\s{3,}", line)]
    found += re.findall(r"`([^`]*)`", " ".join(re.sub(r"```.*?```", "", text, flags=re.S).split()))
    return [command for command in found if command.startswith("pqv ")]


def check(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    found = typer.main.get_command(app)
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        assert words[0] in found.commands, command
        found = found.commands[words.pop(0)]
    known = {
        option
        for parameter in found.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known | {"--help"}, command


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_commands_of_documents(path: Path) -> None:
    for command in commands(path.read_text()):
        check(command)


def test_what_is_found() -> None:
    text = "`pqv run\nm.onnx`\n\n    pqv eval a \\\n        --data d   pqv info\n    a   pqv b\n"
    assert commands(text) == ["pqv eval a --data d", "pqv info", "pqv run m.onnx"]
    for wrong in ("pqv walk", "pqv run --fast m.onnx"):
        with pytest.raises(AssertionError, match=wrong):
            check(wrong)
