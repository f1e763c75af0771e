"""Hostile files and names: one line each, and nothing that a terminal would obey."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.cli.conftest import Pqv
from tests.runtime.hostile import NESTED

ESCAPES = "\x1b[31m[/x]\n\x9b"
SHOWN = r"\x1b[31m[/x]\n\x9b"
LONG = "n" * 300


@pytest.fixture
def with_entry(tiny_onnx: dict[str, Path], tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a model with an entry of its metadata changed."""

    def write(key: str, value: str) -> Path:
        model = onnx.load(tiny_onnx["w4a4"])
        kept = [entry for entry in model.metadata_props if entry.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        model.metadata_props.add(key=key, value=value)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "m.onnx"

    return write


def test_fewer_labels_than_classes(pqv: Pqv, with_entry) -> None:
    lines = pqv("run", with_entry("pqv.labels", "cat"), "--random", 0).out.splitlines()[1:]
    assert {line.split("%  ")[1] for line in lines} == {"cat", *(f"class {n}" for n in range(1, 5))}


def test_metadata_of_images(pqv: Pqv, with_entry, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "x.png")
    for key, value in (("mean", "half"), ("crop_pct", "wide"), ("input_size", NESTED)):
        error = pqv("run", with_entry(f"pqv.{key}", value), tmp_path / "x.png").error
        assert f"the model's pqv.{key} is" in error


def test_a_nested_accuracy(pqv: Pqv, with_entry) -> None:
    assert "pqv.accuracy is malformed" in pqv("info", with_entry("pqv.accuracy", NESTED)).error


def test_labels_that_a_terminal_or_rich_would_obey(pqv: Pqv, with_entry, tmp_path: Path) -> None:
    label = ESCAPES.replace("\n", "")
    model, result = with_entry("pqv.labels", "\n".join([label] * 10)), tmp_path / "r.json"
    done = pqv("run", model, "--random", 0, "--json", result)
    assert done.code == 0, done.err
    assert all(line.endswith(SHOWN.replace(r"\n", "")) for line in done.out.splitlines()[1:6])
    assert "\x1b" not in done.out
    assert json.loads(result.read_text())["results"][0]["top"][0]["label"] == label
    assert "\x1b" not in pqv("inspect", model).out


def test_names_that_a_terminal_or_rich_would_obey(
    pqv: Pqv, tiny_onnx: dict[str, Path], tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / f"[b]{ESCAPES.replace('/', '')}"
    folder.mkdir()
    shown = r"[b]\x1b[31m[x]\n\x9b/m.onnx"
    done = pqv("export", "--checkpoint", tiny_checkpoint["w4a4"], "-o", folder / "m.onnx")
    assert done.code == 0 and f"{shown}: " in done.out.splitlines()[-1]
    Image.new("RGB", (20, 20)).save(folder / "x.png")
    done = pqv("run", folder / "m.onnx", folder / "x.png")
    assert done.code == 0 and done.out.splitlines()[0].endswith(r"\x9b/x.png")
    assert pqv("run", folder / "none.onnx", "--random", 0).error.endswith("no such file")
    done = pqv("inspect", "a", folder)
    assert done.code == 2 and r"\x1b[31m" in done.err and "\x1b" not in done.err


def arrays() -> dict[str, bytes]:
    def header(text: str) -> bytes:
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()

    archive = io.BytesIO()
    np.savez(archive, a=np.zeros(3))
    start = "{'descr': '<f4', 'fortran_order': False, 'shape': "
    return {
        "archive": archive.getvalue(),
        "cut archive": archive.getvalue()[:100],
        "huge": header(f"{start}(1000000000000000,)}}\n"),
        "negative": header(f"{start}(-5,)}}\n"),
        "nested": header("(" * 5000 + ")" * 5000),
        "no dictionary": header("5\n"),
        "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"),
        "empty": b"",
    }


@pytest.mark.parametrize("name", arrays())
def test_arrays_that_are_none(
    name: str, pqv: Pqv, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "x.npy").write_bytes(arrays()[name])
    error = pqv("verify", tiny_onnx["w4a4"], "--images", tmp_path / "x.npy").error
    assert "x.npy: not a .npy file" in error or "x.npy: an .npz archive" in error


def test_weights_that_are_no_plain_tensors(pqv: Pqv, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.empty(3, device="meta"),
        "expanded": torch.zeros(1).expand(10**6, 10**6),
        "quantized": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
    }
    for name, tensor in tensors.items():
        path = tmp_path / f"{name}.pth"
        torch.save({"head.weight": tensor}, path)
        calibrate = ("calibrate", "--model", "deit_tiny_patch16_224", "--weights", path)
        error = pqv(*calibrate, "-o", tmp_path / "c.safetensors").error
        assert f"{path}: head.weight is sparse, quantized, expanded or without values" in error


def test_a_nested_recipe(pqv: Pqv, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    (tmp_path / "r.toml").write_text(f"model = {NESTED}")
    train = ("train", "--recipe", tmp_path / "r.toml", "--random-weights", 0, "-o", tmp_path / "r")
    assert "r.toml: not TOML" in pqv(*train).error
    (tmp_path / "r.toml").write_text("model = 'm'\nprecision = 'w8a8'")
    error = pqv(*train, "--set", f"train.seed={NESTED}").error
    assert "train.seed is '[[[" in error and error.endswith("[...") and len(error) < 2100


@pytest.mark.parametrize(
    ("option", "value", "command"),
    [
        ("--random", -1, ("run", "m.onnx")),
        ("--threads", 1000000, ("run", "m.onnx", "--random", 0)),
        ("--seed", -1, ("verify", "m.onnx")),
        ("--threads", 1000000, ("bench", "m.onnx")),
        ("--random-weights", -1, ("export", "--model", "m", "-o", "m.onnx")),
        ("--random-weights", -1, ("calibrate", "--model", "m", "-o", "m.safetensors")),
    ],
)
def test_numbers_out_of_range(
    option: str, value: int, command: tuple[object, ...], pqv: Pqv
) -> None:
    done = pqv(*command, option, value)
    assert done.code == 2 and f"Invalid value for '{option}'" in done.err


def test_names_that_are_too_long(pqv: Pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    long = tmp_path / LONG
    for arguments in (
        ("inspect", long),
        ("inspect", f"{long}.onnx"),
        ("inspect", tiny_onnx["w4a4"], "--json", long),
        ("run", tiny_onnx["w4a4"], long),
        ("run", f"{long}.onnx", "--random", 0),
        ("verify", tiny_onnx["w4a4"], "--checkpoint", f"{long}.safetensors"),
        ("verify", tiny_onnx["w4a4"], "--images", long),
        ("export", "--checkpoint", f"{long}.safetensors", "-o", tmp_path / "m.onnx"),
        ("export", "--checkpoint", tmp_path / "none", "-o", long),
        ("android", "push", long),
        ("android", "aar", "-o", long),
    ):
        error = pqv(*arguments).error
        assert LONG in error and "unexpected" not in error


def test_batches_beyond_memory(pqv: Pqv, tiny_onnx: dict[str, Path]) -> None:
    error = pqv("verify", tiny_onnx["w4a4"], "--batch", 10**12).error
    assert "pqv: error: out of memory: Unable to allocate" in error


def test_what_nobody_expects(pqv: Pqv, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("two\nlines \x1b[31m")

    monkeypatch.setattr("pqv_onnx.cli.app.app", fail)
    assert r"unexpected RuntimeError: two lines \x1b[31m (`pqv --traceback" in pqv("info").error
    with pytest.raises(RuntimeError, match="two"):
        pqv("--traceback", "info")


def test_memory_that_torch_does_not_get(pqv: Pqv) -> None:
    new = ["--model", "test_vit", "--random-weights", "0", "--num-classes", str(2**40)]
    result = pqv("calibrate", *new, "--data", ".", "-o", "c.safetensors")
    assert result.code == 1 and result.error.startswith("pqv: error: out of memory: ")


def test_the_flag_is_known(pqv: Pqv) -> None:
    assert "--traceback" in pqv("--help").out
    assert pqv("--traceback", "info").code == 0


def run_pqv(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, after some Python."""
    start = "from pqv_onnx.cli.main import main; main()"
    command = [sys.executable, "-c", f"import sys; sys.argv = ['pqv', 'info']\n{code}\n{start}"]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run(command, check=False, **how)


def test_a_standard_output_that_is_full() -> None:
    with open("/dev/full", "wb") as full:
        done = run_pqv("", stdout=full)
    assert done.returncode == 1
    sentence = "the standard output cannot be written: No space left on device"
    assert done.stderr == f"pqv: error: {sentence}\n"


@pytest.mark.parametrize("module", ["onnxruntime", "rich", "pqv_onnx.cli.app"])
def test_an_interrupt_while_modules_are_imported(module: str) -> None:
    done = run_pqv(
        f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
