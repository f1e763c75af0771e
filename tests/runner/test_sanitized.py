"""Hostile input to pqv_run, built with AddressSanitizer and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import io
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from tests.builds import SANITIZED, build
from tests.runner.test_images import entries_of, need_library, picture, save_identity
from tests.runtime.hostile import BAD_FIELDS, EXTREMES, TOO_LARGE, png_of_size

Check = Callable[..., None]
ENTRIES = entries_of(input_size=[3, 8, 6])


@pytest.fixture
def check(onnxruntime_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the program on a file, or expects an exit status: a result or one line, no report."""
    program = build("host-sanitize", "pqv_run") / "pqv_run"
    for name, value in SANITIZED.items():
        monkeypatch.setenv(name, value)

    def check(*arguments: str | Path, status: int | None = None) -> None:
        command = [program, "--onnxruntime", onnxruntime_library, "--functions", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            assert done.stderr == ""
        else:
            (line,) = done.stderr.splitlines()
            assert line.startswith("pqv_run: error: ")
        assert done.returncode in ((0, 1) if status is None else (status,)), done.stderr

    return check


def test_metadata(check: Check, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    model, image = tmp_path / "m.onnx", tmp_path / "x.png"
    picture("RGB", 20, 30).save(image)
    for fields, status in ((BAD_FIELDS, 1), ([(*field, "") for field in EXTREMES], 0)):
        for name, value, _ in fields:
            save_identity(model, {**entries_of(), f"pqv.{name}": value}, [1, 3, 24, 24])
            check(model, image, status=status)


def test_shapes(check: Check, tmp_path: Path) -> None:
    for shape in ([], [0], [2**62, 2**62], [1, 4294443040, 4295491616], ["a", 3]):
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
        onnx.save(helper.make_model(graph, ir_version=10), tmp_path / "m.onnx")
        check("--runs", "1", "--profile", "--json", tmp_path / "r.json", tmp_path / "m.onnx")


def test_an_output_without_elements(check: Check, tmp_path: Path) -> None:
    """Which onnxruntime knows only when it has run."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    nodes = [
        helper.make_node("Greater", ["x", "ten"], ["chosen"]),
        helper.make_node("Compress", ["x", "chosen"], ["y"]),
    ]
    ten = helper.make_tensor("ten", TensorProto.FLOAT, [], [10])
    opsets = [helper.make_opsetid("", 18)]
    graph = helper.make_graph(nodes, "g", [x], [y], [ten])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"pqv.labels": "a\nb"})
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "x.raw").write_bytes(bytes(12))
    check(tmp_path / "m.onnx", tmp_path / "x.raw", status=0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_sizes_of_images(check: Check, interpolation: str, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    model, image = tmp_path / "m.onnx", tmp_path / "x.png"
    for crop in (0.01, 1, 6):
        entries = {**ENTRIES, "pqv.interpolation": interpolation, "pqv.crop_pct": str(crop)}
        save_identity(model, entries)
        for size in ((1, 1), (1, 100), (150, 2), (6, 8)):
            Image.new("RGB", size, (5, 6, 7)).save(image)
            check(model, image, status=0)


def test_images_that_are_too_large(check: Check, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    save_identity(tmp_path / "m.onnx", entries_of())
    for size, _ in TOO_LARGE:
        (tmp_path / "x.png").write_bytes(png_of_size(*size))
        check(tmp_path / "m.onnx", tmp_path / "x.png", status=1)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_damaged_images(check: Check, kind: str, tmp_path: Path) -> None:
    need_library({"png": "libpng16.so.16", "jpeg": "libturbojpeg.so.0"}[kind])
    save_identity(tmp_path / "m.onnx", ENTRIES)
    buffer = io.BytesIO()
    Image.new("RGB", (50, 40), (5, 6, 7)).save(buffer, kind)
    chosen = random.Random(0)
    for number in range(12):
        data = bytearray(buffer.getvalue())
        for _ in range(1 + number % 4):
            data[chosen.randrange(2, len(data))] = chosen.randrange(256)
        (tmp_path / f"x.{kind}").write_bytes(data[: chosen.choice((len(data), len(data) // 2))])
        check(tmp_path / "m.onnx", tmp_path / f"x.{kind}")


def test_damaged_arrays(check: Check, tmp_path: Path) -> None:
    save_identity(tmp_path / "m.onnx", ENTRIES)
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 8, 6), np.float32))
    whole = (tmp_path / "x.npy").read_bytes()
    chosen = random.Random(0)
    cases = [whole[:size] for size in (0, 6, 9, 10, 11, 60, 127, 128, 130)]
    cases += [
        whole.replace(b"(2, 3, 8, 6)", text)
        for text in (b"(", b"()", b"(-1,)", b"(99999999999999999999,)", b"(2, 3, 8, 6", b"x" * 9)
    ]
    for _ in range(12):
        data = bytearray(whole)
        data[chosen.randrange(128)] = chosen.randrange(256)
        cases.append(bytes(data))
    for data in cases:
        (tmp_path / "x.npy").write_bytes(data)
        check(tmp_path / "m.onnx", tmp_path / "x.npy")


def test_command_lines(check: Check, tmp_path: Path) -> None:
    for arguments in (
        ("--runs", "-0"),
        ("--runs", "99999999999999999999"),
        ("--threads", "0"),
        ("--threads", "1000000", "m.onnx", "--runs", "1"),
        ("--cpu-mask", "g"),
        ("--top", "", "m.onnx"),
        ("--json",),
        ("--", "--"),
    ):
        check(*arguments, status=2)
    save_identity(tmp_path / "m.onnx", ENTRIES)
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 6), np.float32))
    for output in ("/dev/full", tmp_path, tmp_path / ("n" * 300), "/" * 5000, ""):
        status = 2 if output == "" else 1
        check("--output", output, tmp_path / "m.onnx", tmp_path / "x.npy", status=status)
