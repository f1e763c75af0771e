"""pqv_run as a program: timing, outputs, errors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.runner.conftest import Run, error_of


def test_help_and_wrong_usage(pqv_run: Path) -> None:
    done = subprocess.run([pqv_run, "--help"], capture_output=True, text=True, check=True)
    assert "--cpu-mask HEX" in done.stdout
    for arguments, reason in {
        (): "expected a MODEL",
        ("m.onnx",): "expected an INPUT or --runs",
        ("--frobnicate", "1"): "--frobnicate: no such option",
        ("m.onnx", "--runs"): "--runs : expected a whole number",
        ("m.onnx", "--runs", "-3"): "--runs -3: expected a whole number",
        ("m.onnx", "--cpu-mask", "0"): "--cpu-mask 0: expected a hexadecimal mask",
        ("m.onnx", "--cpu-mask", "1ffffffffffffffff"): "expected a hexadecimal mask",
    }.items():
        done = subprocess.run([pqv_run, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert reason in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--threads", "2", "--warmup", "0"]])
def test_timing(run: Run, tiny_onnx: dict[str, Path], arguments: list[str]) -> None:
    done = run(*arguments, "--runs", "7", "--cpu-mask", "1", tiny_onnx["w4a4"])
    assert done.returncode == 0, done.stderr
    found = re.search(r"7 runs: p50 (\S+) ms, p90 (\S+), p99 (\S+), minimum (\S+),", done.stdout)
    assert found
    p50, p90, p99, minimum = (float(text) for text in found.groups())
    assert 0 < minimum <= p50 <= p90 <= p99


def test_errors_of_files(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model = tiny_onnx["w8a8"]
    assert "there is no such file" in error_of(run("missing.onnx", "--runs", "1"))
    assert "missing.raw: cannot be read" in error_of(run(model, "missing.raw"))
    zeros = tmp_path / "zeros.raw"
    np.zeros((3, 16, 16), np.float32).tofile(zeros)
    output = tmp_path / "missing" / "out.raw"
    assert "out.raw: cannot be written" in error_of(run(model, "--output", output, zeros))
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    assert "broken.onnx: " in error_of(run(tmp_path / "broken.onnx", "--runs", "1"))
    assert "onnxruntime cannot be loaded" in error_of(
        run("--onnxruntime", "missing.so", model, "--runs", "1")
    )
    assert "not onnxruntime" in error_of(run("--onnxruntime", "libm.so.6", model, "--runs", "1"))
    assert "missing.so" in error_of(run("--library", "missing.so", model, "--runs", "1"))


def test_a_failed_run_leaves_no_output(
    run: Run, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    np.zeros(5, np.uint8).tofile(tmp_path / "x.raw")
    error_of(run(tiny_onnx["w8a8"], "--output", tmp_path / "out.raw", tmp_path / "x.raw"))
    assert not (tmp_path / "out.raw").exists()


def test_a_core_that_is_not_there(run: Run, tiny_onnx: dict[str, Path]) -> None:
    arguments = ["--cpu-mask", "8000000000000000", "--runs", "1", tiny_onnx["w8a8"]]
    assert "--cpu-mask 8000000000000000: " in error_of(run(*arguments))
