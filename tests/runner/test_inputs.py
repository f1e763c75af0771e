"""Raw and NumPy files as inputs of pqv_run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pqv_onnx
from tests.runner.conftest import Run, error_of

IMAGES = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["npy", "raw", "bin"])
@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_the_bits_of_python(
    run: Run, tiny_onnx: dict[str, Path], precision: str, suffix: str, tmp_path: Path
) -> None:
    session = pqv_onnx.InferenceSession(tiny_onnx[precision])
    (expected,) = session.run(None, {session.get_inputs()[0].name: IMAGES})
    path = tmp_path / f"images.{suffix}"
    if suffix == "npy":
        np.save(path, IMAGES)
    else:
        IMAGES.tofile(path)
    for ways in ([], ["--functions"], ["--threads", "2"]):
        done = run(*ways, "--output", tmp_path / "out.raw", tiny_onnx[precision], path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out.raw").read_bytes() == expected.tobytes()
    best = [int(line.split()[-1]) for line in done.stdout.splitlines()[1::6]]
    assert best == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (IMAGES.astype(np.float64), "its elements are '<f8', expected float32"),
        (IMAGES[0], r"the shape is [3, 16, 16], expected [1, 3, 16, 16]"),
        (IMAGES[..., :8], r"the shape is [3, 3, 16, 8], expected [1, 3, 16, 16]"),
        (np.asfortranarray(IMAGES), "the array is in Fortran's order"),
        (IMAGES[:0], "found 0 bytes of data, expected a multiple of 3072"),
    ],
)
def test_an_array_that_does_not_fit(
    run: Run, tiny_onnx: dict[str, Path], array: np.ndarray, reason: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", array)
    assert reason in error_of(run(tiny_onnx["w8a8"], tmp_path / "images.npy"))


@pytest.mark.parametrize("change", [-1024, -3072, 1])
def test_an_array_that_is_cut_off(
    run: Run, tiny_onnx: dict[str, Path], change: int, tmp_path: Path
) -> None:
    path = tmp_path / "images.npy"
    np.save(path, IMAGES)
    whole = path.read_bytes()
    path.write_bytes(whole[:change] if change < 0 else whole + b"x" * change)
    reason = f"found {9216 + change} bytes of data, expected 3 times 3072"
    assert reason in error_of(run(tiny_onnx["w8a8"], path))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.raw", b"12345", "found 5 bytes of data, expected a multiple of 3072"),
        ("x.npy", b"12345", "not a .npy file of format 1"),
        ("x.npy", b"\x93NUMPY\x01\x00\xff\x00{}", "the .npy header is cut off"),
        ("x.npy", b"\x93NUMPY\x01\x00\x02\x00{}", "its elements are undec"),
        ("x.txt", b"12345", "expected a name that ends in"),
    ],
)
def test_a_file_that_is_none(
    run: Run, tiny_onnx: dict[str, Path], name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    assert reason in error_of(run(tiny_onnx["w8a8"], tmp_path / name))
