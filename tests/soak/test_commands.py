from __future__ import annotations

import pytest

from tests.soak.commands import _judge, command_line

_GOOD = [["recipes", "deit_tiny_patch16_224.w4a4"]]


@pytest.mark.parametrize(
    ("status", "shown", "megabytes", "outcome"),
    [
        (0, "m.onnx: 1 MB\n", 100, "done"),
        (1, "working\npqv: error: m.onnx: there is no such file\n", 100, "refused"),
        (2, "Usage: pqv\n", 100, "usage"),
        (None, "", 100, "!hangs"),
        (-11, "", 100, "!status -11: "),
        (1, "Traceback (most recent call last):\nTypeError: x\n", 100, "!status 1: TypeError: x"),
        (1, "pqv: error: unexpected TypeError: x\n", 100, "!no sentence: pqv: error: unexpected"),
        (1, "", 100, "!no sentence: "),
        (1, "pqv: error: \x1b[31m[/x]\n", 100, "!the terminal obeys"),
        (1, "pqv: error: x\n", 3000, "!takes 3000 MB"),
    ],
)
def test_what_is_wrong(status: int | None, shown: str, megabytes: float, outcome: str) -> None:
    assert _judge(status, shown, megabytes).startswith(outcome)


def test_a_seed_gives_a_command_line() -> None:
    lines = [command_line(seed, _GOOD, ["a.toml", "b.toml"]) for seed in range(100)]
    assert lines == [command_line(seed, _GOOD, ["a.toml", "b.toml"]) for seed in range(100)]
    assert sum(line in _GOOD for line in lines) < 10
    assert not any("--pretrained" in line for line in lines)
