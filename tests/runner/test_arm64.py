"""The demo's models on onnxruntime for arm64, on emulated processors: the bits of this machine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pqv_onnx
from benchmarks.arm64.emulator import CPUS, onnxruntime_library, prefix
from pqv_onnx.errors import PqvError
from tests.builds import ROOT, build, need, need_sme

IMAGES = 100


@pytest.fixture(scope="module")
def arm64_onnxruntime() -> Path:
    need("qemu-aarch64", "qemu-user")
    try:
        return onnxruntime_library()
    except PqvError as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first test images of the demo, as its models take them."""
    pytest.importorskip("sklearn")
    from pqv_onnx.demo.data import load_split, normalize

    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, normalize(load_split()[1].images[:IMAGES]).numpy())
    return path


@pytest.mark.parametrize("variant", CPUS)
@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_the_logits_of_this_machine(
    precision: str, variant: str, images: Path, arm64_onnxruntime: Path, tmp_path: Path
) -> None:
    model = ROOT / "build" / "demo" / f"{precision}.onnx"
    if not model.is_file():
        reason = f"there is no {model.relative_to(ROOT)}: make demo"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    session = pqv_onnx.InferenceSession(model)
    (expected,) = session.run(None, {session.get_inputs()[0].name: np.load(images)})
    cpu = CPUS[variant]
    need_sme(cpu.name)
    folder = build("linux-arm64", "pqv_run", "pqv_ops")
    emulator = ["qemu-aarch64", "-L", str(prefix(cpu)), "-cpu", cpu.name]
    emulator += ["-E", f"PQV_ISA={variant}", str(folder / "pqv_run")]
    output, result = tmp_path / "logits.raw", tmp_path / "result.json"
    options = ["--onnxruntime", arm64_onnxruntime, "--output", output, "--json", result]
    done = subprocess.run(
        [*emulator, *options, model, images], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == expected.tobytes()
    assert json.loads(result.read_text())["library"]["selected"] == variant
