"""Bad command lines: each is refused in one line, soon, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tests.soak.pool import hostile, valid

_OF_A_PROCESS = 100
_SECONDS, _MEGABYTES = 20, 2000
"""What a command line may take until it is refused."""
_OUTPUT = 2**20
"""Bytes of output that are kept."""
_SECONDS_OF_WORK = 600
"""What one may take that is valid."""
_USAGE = 2
_LONG_WORK = {"--runs", "--warmup", "--steps", "--batch"}
"""What takes as long as one asks for."""
_TEXTS = [
    *("", " ", "-", "--", "-1", "0", "1", "2", "1.5", "nan", "inf", "1e309", "9" * 30, "1" * 5000),
    *("x", "n" * 300, "\x1b[31m[/x]", "[/bold]", "a\nb", os.fsdecode(b"\xff"), "\N{OWL}"),
    *("..", "/", "~", "*", "%s%n", "a=b", "=", "=1", "attention=", "attention=x", "None", "true"),
    *("vit_tiny_patch16_224", "resnet18", "w4a4", "w8a8", "float", "image", "os", "224x"),
]


@dataclass
class Commands:
    """What became of command lines.

    Attributes:
        outcomes: command lines by ``done``, ``refused``, ``usage`` and what should not be.
        broken: those that ended otherwise, a line each.
    """

    outcomes: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def bases(pool: Mapping[str, str]) -> list[list[str]]:
    """A valid command line of each command that needs no phone, in terms of the files in a pool."""
    model, checkpoint, data = pool["model"], pool["checkpoint"], pool["data"]
    new = ["--random-weights", "0", "--num-classes", "2", "--data", data]
    quick = ["--quick", "--steps", "2", "--images", "4", "--batch-size", "4"]
    return [
        ["quantize", "test_vit", *new, *quick, "--eval-images", "4", "-o", "out"],
        ["calibrate", "--model", "test_vit", *new, *quick, "-o", "c.safetensors"],
        ["train", "--recipe", pool["recipe"], *new, "-o", "run"],
        ["eval", model, "--data", data, "--batch-size", "4"],
        ["export", "--checkpoint", checkpoint, "--labels", pool["labels"], "-o", "m.onnx"],
        ["run", model, pool["image"], "--top", "2", "--threads", "1"],
        ["verify", model, "--checkpoint", checkpoint, "--seed", "1", "--batch", "2"],
        ["bench", model, "--warmup", "1", "--runs", "2", "--threads", "1"],
        ["inspect", checkpoint, "--batch", "2"],
        ["info", model],
        ["models", "--filter", "deit_tiny_patch16_224"],
        ["recipes", "deit_tiny_patch16_224.w4a4"],
    ]


_ANDROID = [
    ["android", "build", "--source", "none", "-o", "o"],
    ["android", "bundle", "-m", "m.onnx", "--aar", "a.aar", "--binaries", "b", "-o", "o"],
    ["android", "push", "bundle"],
    ["android", "bench", "bundle", "--threads", "1", "--cores", "big"],
    ["android", "aar", "--binaries", "b", "-o", "o.aar"],
    ["android", "maven", "--binaries", "b", "-o", "o"],
    ["android", "app", "-m", "m.onnx", "--binaries", "b", "--package", "org.example", "-o", "o"],
]
"""Bad as they are: what they name is not there."""


def command_line(seed: int, good: list[list[str]], files: list[str]) -> list[str]:
    """A command line with one or two of its words changed, dropped, doubled or added."""
    draw = random.Random(seed)
    line = list(draw.choice(good * 3 + _ANDROID))
    options = _options(line)
    for _ in range(draw.randint(1, 2)):
        at = draw.randrange(1, len(line))
        kind = draw.choice(("option", "option", "option", "value", "value", "drop", "double"))
        if kind == "option":
            line += _option(draw, options, files)
        elif kind == "drop":
            del line[at]
        elif kind == "double":
            line.insert(at, line[at])
        elif not line[at].startswith("-"):
            line[at] = _value(draw, files)
        if len(line) == 1:
            break
    return line


def _options(line: list[str]) -> list[Any]:
    """The options of a command but those that download or ask for a shell's completion."""
    from typer.main import get_command

    from pqv_onnx.cli.app import app

    found: Any = get_command(app)
    for word in line:
        found = getattr(found, "commands", {}).get(word, found)
    without = {"--pretrained", "--help"}
    options = [option for option in found.params if option.opts[0].startswith("-")]
    return [option for option in options if option.opts[0] not in without]


def _option(draw: random.Random, options: list[Any], files: list[str]) -> list[str]:
    """An option, most times with a value that might be one of its own."""
    option = draw.choice(options)
    name = draw.choice([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return [name]
    if not _LONG_WORK.isdisjoint(option.opts):
        return [name, draw.choice(("-1", "0", "3", "x"))]
    kind = str(option.type_descriptor.annotation)
    if draw.random() < 0.2:
        return [name, _value(draw, files)]
    if "int" in kind or "float" in kind:
        return [name, draw.choice(("-1", "0", "1", "3", "1000", "4294967296"))]
    if "enum" in kind:
        return [name, draw.choice(("w4a4", "mixed", "tokens", "image", "encoded", "qdq", "nchw"))]
    return [name, _value(draw, files)]


def _value(draw: random.Random, files: list[str]) -> str:
    return draw.choice(files if draw.random() < 0.7 else _TEXTS)


def attempt(line: list[str]) -> str:
    """Run a command line in a folder of its own, and say what became of it.

    Returns:
        One word; ``!`` and why where something is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        outcome = run_in(Path(name), line)
        left = sorted(path.name for path in Path(name).iterdir())
        if outcome not in ("refused", "usage"):
            return outcome
        if time.monotonic() > began + _SECONDS:
            return "!hangs before it is refused"
        return f"!leaves {', '.join(left)}" if left else outcome


def run_in(folder: Path, line: list[str], largest_file: int | None = None) -> str:
    """Run a command line in a process, and say how that ended, as `attempt` does.

    Args:
        folder: where.
        line: the words behind ``pqv``.
        largest_file: bytes, after which writing a file fails.
    """
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _OUTPUT)
    child = os.fork()
    if child == 0:
        _become(line, folder, write, largest_file)
    os.close(write)
    status, used = _wait(child)
    with os.fdopen(read, "rb") as output:
        shown = output.read().decode(errors="replace")
    return _judge(status, shown, used.ru_maxrss / 1000)


def _become(line: list[str], folder: Path, output: int, largest_file: int | None) -> None:
    """Be the command, in a process group that can be ended with all that it starts."""
    from pqv_onnx.cli.main import main

    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["pqv", *line]
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 71
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> tuple[int | None, resource.struct_rusage]:
    """Status and use of a process, which is ended if it is late; None if it was."""
    until, late = time.monotonic() + _SECONDS_OF_WORK, False
    while True:
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            return None if late else os.waitstatus_to_exitcode(status), used
        if time.monotonic() > until and not late:
            late = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)


def _judge(status: int | None, shown: str, megabytes: float) -> str:
    last = shown.rstrip("\n").rsplit("\n", 1)[-1]
    if status is None:
        return "!hangs"
    if status not in (0, 1, _USAGE) or "Traceback" in shown:
        return f"!status {status}: {last}"
    if "\x1b[31m[/x]" in shown:
        return f"!the terminal obeys: {last!r}"
    if megabytes > _MEGABYTES:
        return f"!takes {megabytes:.0f} MB"
    if status == 1 and (not last.startswith("pqv: error: ") or "unexpected" in last):
        return f"!no sentence: {last}"
    return {0: "done", 1: "refused", _USAGE: "usage"}[status]


def run(count: int, seed: int = 0, jobs: int = 1) -> Commands:
    """Try ``count`` command lines, in processes that start the commands' processes."""
    found = Commands()
    bounds = [seed + count * job // jobs for job in range(jobs + 1)]
    with tempfile.TemporaryDirectory() as place, Progress() as progress:
        task = progress.add_task("command lines", total=count)

        def part(job: int) -> list[str]:
            lines = []
            for line in _run_part(Path(place) / str(job), bounds[job], bounds[job + 1]):
                lines.append(line)
                progress.advance(task)
            return lines

        with ThreadPoolExecutor(jobs) as threads:
            for line in chain.from_iterable(threads.map(part, range(jobs))):
                word = line.split("\t")[0]
                found.outcomes[word] = found.outcomes.get(word, 0) + 1
                if "\t" in line:
                    found.broken.append(line)
    return found


def _run_part(folder: Path, begin: int, end: int) -> Iterator[str]:
    """The outcomes of some command lines, on files of their own."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.soak.commands", f"{folder}/pool"]
    subprocess.run([*command, "prepare"], check=True)
    for first in range(begin, end, _OF_A_PROCESS):
        some = [*command, str(first), str(min(first + _OF_A_PROCESS, end))]
        done = subprocess.run(some, check=True, stdout=subprocess.PIPE, text=True)
        yield from done.stdout.splitlines()


def _prepare(folder: Path) -> None:
    """Fill a pool, and see that the valid command lines are."""
    folder.mkdir()
    files = valid(folder)
    for line in bases(files):
        outcome = attempt(line)
        assert outcome == "done", f"{line}: {outcome}"


def _attempts(folder: Path, begin: int, end: int) -> Iterator[str]:
    files = valid(folder)
    names = [*files.values(), *hostile(folder)]
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, symlinks=True)
    before = _state(folder)
    for seed in range(begin, end):
        line = command_line(seed, bases(files), names)
        outcome = attempt(line)
        if _state(folder) != before:
            if outcome != "done":
                outcome = f"!changes its input ({outcome})"
            shutil.rmtree(folder)
            shutil.copytree(kept, folder, symlinks=True)
            before = _state(folder)
        if not outcome.startswith("!"):
            yield outcome
        else:
            word = outcome[1:].split(":")[0].split(" ")[0]
            yield f"{word}\tcommand line {seed}: {outcome[1:]!r} {line}"


def _state(folder: Path) -> list[tuple[str, int, int]]:
    paths = sorted(folder.rglob("*"))
    return [(str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in paths]


def main(folder: str, begin: str, end: str = "") -> None:
    """Prepare a pool, or print the outcomes of some command lines, a line each."""
    import onnxruntime  # noqa: F401 - loaded once for all processes
    import timm  # noqa: F401
    import torch

    torch.set_num_threads(1)
    if begin == "prepare":
        _prepare(Path(folder))
        return
    for outcome in _attempts(Path(folder), int(begin), int(end)):
        print(outcome, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
