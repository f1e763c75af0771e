"""`pqv android bundle`: what is in the folder, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pqv_onnx.android.elf import ANDROID_LIBRARY, ANDROID_PROGRAM, check
from tests.android.conftest import fake_onnxruntime, put_program, write_fake_aar
from tests.cli.conftest import Done, Pqv

ENTRY = "jni/arm64-v8a/libonnxruntime.so"


def write_peer(path: Path, op: str, size: int = 16) -> Path:
    """A model of one op without pqv ops."""
    value = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, size, size]) for n in "xy"
    ]
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    constants = []
    if op == "DequantizeLinear":
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale"], ["y"]),
        ]
        constants = [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.1])]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], constants)
    onnx.save(helper.make_model(graph, ir_version=10), path)
    return path


@pytest.fixture
def make(pqv: Pqv, aar: Path, android_build: Path, tiny_onnx: dict[str, Path], tmp_path: Path):
    """Runs `pqv android bundle`; arguments that are given win over good ones."""

    def run(*more: object, **changes: object) -> Done:
        good = {"-m": tiny_onnx["w4a4"], "--aar": aar, "--binaries": android_build}
        named = {**good, **{f"-{k}" if len(k) == 1 else f"--{k}": v for k, v in changes.items()}}
        flags = [part for pair in named.items() if pair[1] is not None for part in pair]
        return pqv("android", "bundle", *flags, *more, "-o", tmp_path / "b")

    return run


def test_the_folder(make, tiny_onnx: dict[str, Path], android_build: Path, tmp_path: Path) -> None:
    fp32 = write_peer(tmp_path / "float.onnx", "Relu")
    qdq = write_peer(tmp_path / "int8.onnx", "DequantizeLinear")
    done = make("-m", tiny_onnx["w8a8"], fp32=fp32, qdq=qdq)
    assert done.code == 0, done.err
    folder = tmp_path / "b"
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = {entry["path"]: entry for entry in manifest["files"]}
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == {*listed, "manifest.json"}
    for path, entry in listed.items():
        data = (folder / path).read_bytes()
        assert entry["bytes"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    kinds = [(model["path"], model["kind"]) for model in manifest["models"]]
    assert kinds == [
        ("models/w4a4.onnx", "pqv"),
        ("models/w8a8.onnx", "pqv"),
        ("models/float.onnx", "fp32"),
        ("models/int8.onnx", "qdq"),
    ]
    assert (manifest["onnxruntime"], manifest["op_domain_version"]) == ("1.22.0", 1)
    assert (manifest["abi"], manifest["minimum_api"]) == ("arm64-v8a", 24)
    check(folder / "libpqv_ops.so", ANDROID_LIBRARY)
    check(folder / "pqv_run", ANDROID_PROGRAM)
    assert (folder / "libonnxruntime.so").read_bytes() == fake_onnxruntime()
    assert os.access(folder / "pqv_run", os.X_OK)
    assert (folder / "models/w8a8.onnx").read_bytes() == tiny_onnx["w8a8"].read_bytes()


def test_the_script(make, tmp_path: Path) -> None:
    assert make().code == 0
    put_program(tmp_path / "b" / "pqv_run", 'echo "$PWD" "$@"')
    command = ["sh", tmp_path / "b" / "run.sh", "models/m.onnx", "a b.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == f"{tmp_path / 'b'} models/m.onnx a b.jpg\n"


def test_a_bundle_is_replaced_and_nothing_else(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make().code == 0
    (tmp_path / "b" / "old").touch()
    assert make().code == 0
    assert not (tmp_path / "b" / "old").exists()
    with monkeypatch.context() as patch:
        rename = Path.rename

        def full(self: Path, target: Path) -> Path:
            if self.name == "new":
                raise OSError(28, "No space left on device")
            return rename(self, target)

        patch.setattr(Path, "rename", full)
        assert "No space left on device" in make().error
    assert (tmp_path / "b" / "manifest.json").exists(), "the old bundle is lost"
    (tmp_path / "b" / "manifest.json").unlink()
    assert "there is something else than a bundle" in make().error
    assert (tmp_path / "b" / "pqv_run").exists()


PACKAGES: dict[str, tuple[dict[str, bytes], str]] = {
    "no arm64": (
        {"jni/x86_64/libonnxruntime.so": b""},
        "has jni/x86_64/libonnxruntime.so, expected",
    ),
    "no library": ({"classes.jar": b""}, f"has no library, expected {ENTRY}"),
    "of x86": ({ENTRY: fake_onnxruntime(machine=62)}, "is for EM_X86_64, expected EM_AARCH64"),
    "too old": (
        {ENTRY: fake_onnxruntime("1.17.3")},
        "onnxruntime 1.17.3 is too old: 1.18 or newer",
    ),
    "no ELF file": ({ENTRY: b"not an ELF file"}, "not an ELF file, or a broken one"),
    "not onnxruntime": ({ENTRY: fake_onnxruntime("other")}, "not onnxruntime: its symbols"),
}


@pytest.mark.parametrize("case", PACKAGES)
def test_a_wrong_package(case: str, make, tmp_path: Path) -> None:
    entries, sentence = PACKAGES[case]
    assert sentence in make(aar=write_fake_aar(tmp_path / "bad.aar", entries)).error
    assert not (tmp_path / "b").exists()


def test_no_package(make, tmp_path: Path) -> None:
    (tmp_path / "cut.aar").write_bytes(b"PK\x03\x04 and no more")
    assert "missing.aar: cannot be read" in make(aar="missing.aar").error
    assert "cut.aar: not an Android package" in make(aar=tmp_path / "cut.aar").error


def test_maven_gets_the_package(
    make, aar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(
        tmp_path / "mvn",
        f'echo "$@" > "{tmp_path}/log"\nfor word; do case $word in -DoutputDirectory=*) '
        f'cp "{aar}" "${{word#*=}}/onnxruntime-android.aar";; esac; done',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    done = make(aar=None, onnxruntime="1.20.0")
    assert done.code == 0, done.err
    words = (tmp_path / "log").read_text().split()
    assert "-Dartifact=com.microsoft.onnxruntime:onnxruntime-android:1.20.0:aar" in words
    put_program(tmp_path / "mvn", "printf '\\033[0m\\033[0m[ERROR] nothing there\\n'; exit 1")
    error = make(aar=None).error
    assert "cannot be fetched with mvn: nothing there; --aar names" in error
    (tmp_path / "mvn").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "mvn not found on the PATH" in make(aar=None).error


def broken_packages() -> dict[str, bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ENTRY, bytes(1000))
    good = buffer.getvalue()
    name = good.rindex(ENTRY.encode())  # in the directory, whose entry has 46 bytes before it
    encrypted, large = bytearray(good), bytearray(good)
    encrypted[name - 46 + 8] |= 1
    encrypted[6] |= 1
    large[name - 46 + 24 : name - 46 + 28] = (2**31).to_bytes(4, "little")
    return {
        "cut": good[:-30],
        "no package": b"zip",
        "damaged": good[:80] + b"\xff" * 8 + good[88:],
        "encrypted": bytes(encrypted),
        "large": bytes(large),
    }


@pytest.mark.parametrize("case", broken_packages())
def test_a_broken_package(case: str, make, tmp_path: Path) -> None:
    (tmp_path / "bad.aar").write_bytes(broken_packages()[case])
    error = make(aar=tmp_path / "bad.aar").error
    expected = "more than any onnxruntime has" if case == "large" else "a damaged or encrypted one"
    assert "bad.aar: " in error and expected in error
    assert not (tmp_path / "b").exists()


def test_wrong_models(make, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    relu = write_peer(tmp_path / "relu.onnx", "Relu")
    quantized = write_peer(tmp_path / "qdq.onnx", "DequantizeLinear")
    large = write_peer(tmp_path / "large.onnx", "Relu", size=32)
    new = onnx.load(tiny_onnx["w4a4"])
    next(o for o in new.opset_import if o.domain == "pqv").version = 2
    onnx.save(new, tmp_path / "new.onnx")
    assert "no op of the domain pqv" in make(m=relu).error
    assert "version 2 of the op domain pqv" in make(m=tmp_path / "new.onnx").error
    assert "has no DequantizeLinear" in make(qdq=relu).error
    assert "is quantized, expected an fp32 model" in make(fp32=quantized).error
    assert "has ops of the domain pqv" in make(fp32=tiny_onnx["w8a8"]).error
    assert "has 3072 values, expected 768" in make(fp32=large).error
    assert "of this name is in the bundle already" in make("-m", tiny_onnx["w4a4"]).error
    assert "there is no such file" in make(fp32="missing.onnx").error
    assert not (tmp_path / "b").exists()


def test_weights_in_another_file(make, tmp_path: Path) -> None:
    peer = onnx.load(write_peer(tmp_path / "p.onnx", "Relu"))
    peer.graph.initializer.append(numpy_helper.from_array(np.zeros(512, np.float32), "w"))
    onnx.save(peer, tmp_path / "p.onnx", save_as_external_data=True, location="p.data")
    assert "p.onnx: keeps weights in other files" in make(fp32=tmp_path / "p.onnx").error


def test_missing_or_wrong_binaries(make, tmp_path: Path) -> None:
    assert "run `pqv android build` first" in make(binaries=tmp_path).error
    for name in ("libpqv_ops.so", "pqv_run"):
        (tmp_path / name).write_bytes(fake_onnxruntime())
    assert "libpqv_ops.so: not a" in make(binaries=tmp_path).error
