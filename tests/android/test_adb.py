"""`pqv android push` and `bench` on a phone that a fake adb plays."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from pqv_onnx.runtime.library import get_library_path
from tests.android.conftest import Phone
from tests.cli.conftest import Pqv

FILES = {
    "libonnxruntime.so",
    "libpqv_ops.so",
    "manifest.json",
    "models/w4a4.onnx",
    "models/w8a8.onnx",
    "pqv_run",
    "run.sh",
}
QUICK = ("--runs", 2, "--warmup", 1, "--pause", 0)


@pytest.fixture
def runner(phone: Phone, pqv_run: Path, onnxruntime_library: Path) -> None:
    """Has the phone run models, on this machine's cores."""
    libraries = ["--onnxruntime", str(onnxruntime_library), "--library", get_library_path()]
    phone.set(runner=[str(pqv_run), *libraries])


def runs(phone: Phone) -> list[list[str]]:
    """The arguments of pqv_run in every run."""
    shells = (shlex.split(line)[3] for line in phone.commands if "./pqv_run" in line)
    return [shlex.split(text.partition("&& ")[2]) for text in shells]


@pytest.mark.usefixtures("runner")
def test_push(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    done = pqv("android", "push", bundle)
    assert done.code == 0, done.err
    assert "R5CT" in done.out and "/data/local/tmp/pqv" in done.out
    assert phone.files == FILES
    pushed = [line for line in phone.commands if line.startswith("-s R5CT push")]
    assert pushed[-1].endswith("manifest.json")
    assert "-s R5CT shell 'chmod 755 /data/local/tmp/pqv/pqv_run'" in phone.commands


@pytest.mark.usefixtures("runner")
def test_bench(pqv: Pqv, phone: Phone, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    counts = ("--threads", 1, "--threads", 2, "--threads", 3)
    cores = ("--cores", "all", "--cores", "3")
    done = pqv("android", "bench", bundle, *counts, *cores, *QUICK, "--json", target)
    assert done.code == 0, done.err
    assert phone.files >= FILES  # pushed first
    result = json.loads(target.read_text())
    assert result["complete"] is True
    assert result["device"]["cpu_mhz"] == [1800, 1800, 2400, 2800]
    settings = [(r["name"], r["threads"], r["cores"]) for r in result["results"]]
    # Three threads do not fit on two cores.
    expected = [(1, "all"), (2, "all"), (3, "all"), (1, "3"), (2, "3")]
    assert settings == [(name, *s) for s in expected for name in ("w4a4", "w8a8")]
    assert all(r["report"]["ms"]["p50"] > 0 for r in result["results"])
    assert [words[-1] for words in runs(phone) if "--cpu-mask" in words] == ["3"] * 4
    assert "threads 2, cores 3" in done.out and "Acme P1, Android 14, 1 x 2800 MHz" in done.out
    pushed = len([line for line in phone.commands if " push " in line])
    assert pqv("android", "bench", bundle, "--threads", 1, "--cores", "3", *QUICK).code == 0
    assert len([line for line in phone.commands if " push " in line]) == pushed


@pytest.mark.usefixtures("runner")
def test_unplugged_while_measuring(pqv: Pqv, phone: Phone, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    phone.set(unplug_at=["./pqv_run", 2])
    setting = ("--threads", 1, "--cores", "all")
    report = tmp_path / "phone.md"
    files = ("--json", target, "--report", report)
    done = pqv("android", "bench", bundle, *setting, *QUICK, *files)
    assert "R5CT: the device went away" in done.error
    assert "1 of 2 measurements were made" in done.error
    assert "w4a4" in done.out
    result = json.loads(target.read_text())
    assert result["complete"] is False
    assert [entry["name"] for entry in result["results"]] == ["w4a4"]
    assert "ended early" in report.read_text() and "w4a4 (pqv)" in report.read_text()


@pytest.mark.usefixtures("runner")
def test_a_model_that_does_not_run(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    phone.set(runner=["sh", "-c", "echo 'pqv_run: error: no such thing' >&2; exit 1"])
    done = pqv("android", "bench", bundle, "--threads", 1, "--cores", "all", *QUICK)
    assert "./pqv_run failed: pqv_run: error: no such thing" in done.error
    assert "0 of 2" in done.error


@pytest.mark.usefixtures("runner")
@pytest.mark.parametrize("when", ["shell 'df", "push", "models/w8a8"])
def test_unplugged_while_pushing(when: str, pqv: Pqv, phone: Phone, bundle: Path) -> None:
    phone.set(unplug_at=[when, 1])
    assert "R5CT: the device went away" in pqv("android", "push", bundle).error
    assert "manifest.json" not in phone.files


DEVICE_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"devices": {}}, "adb finds no device"),
    "two": (
        {"devices": {"A": "device", "B": "device"}},
        "2 devices: --serial must name one of A, B",
    ),
    "unauthorized": ({"devices": {"A": "unauthorized"}}, "A: the device does not trust this"),
    "offline": ({"devices": {"A": "offline"}}, "A: the device is offline"),
    "no permissions": (
        {"devices": {"A": "no permissions (user in plugdev group; are your udev rules wrong?)"}},
        "A: the device may not be opened",
    ),
    "recovery": ({"devices": {"A": "recovery"}}, "A: the device is in the state recovery"),
    "32 bits": (
        {"properties": {"ro.product.cpu.abilist": "armeabi-v7a,armeabi"}},
        "R5CT: the device runs armeabi-v7a,armeabi, expected arm64-v8a",
    ),
    "old": (
        {"properties": {"ro.product.cpu.abilist": "arm64-v8a", "ro.build.version.sdk": "22"}},
        "API level is 22, 24 (Android 7.0) or newer",
    ),
    "little space": ({"free_kb": 10}, "R5CT: no space left on the device: the bundle has"),
    "no space": ({"full_at": "w8a8"}, "R5CT: no space left on the device during: copying"),
}


@pytest.mark.parametrize("case", DEVICE_ERRORS)
def test_what_is_wrong_with_the_device(case: str, pqv: Pqv, phone: Phone, bundle: Path) -> None:
    changes, sentence = DEVICE_ERRORS[case]
    phone.set(runner=["true"], **changes)
    assert sentence in pqv("android", "push", bundle).error
    assert "manifest.json" not in phone.files


@pytest.mark.usefixtures("runner")
def test_a_serial(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    phone.set(devices={"A": "unauthorized", "B": "device"})
    assert "--serial C: adb finds no such device, only A, B" in (
        pqv("android", "push", bundle, "--serial", "C").error
    )
    assert pqv("android", "push", bundle, "--serial", "B").code == 0
    assert all(line == "devices" or line.startswith("-s B") for line in phone.commands)


def test_no_adb(pqv: Pqv, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb not found on the PATH" in pqv("android", "push", bundle).error


@pytest.mark.parametrize("cores", ["none", "0", "-1", "10"])
def test_cores_that_are_not_there(cores: str, pqv: Pqv, phone: Phone, bundle: Path) -> None:
    error = pqv("android", "bench", bundle, "--cores", cores).error
    assert f"--cores {cores}: expected all, big, little or a hexadecimal mask of 4 cores" in error


def test_more_threads_than_cores(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    error = pqv("android", "bench", bundle, "--cores", "big", "--threads", 3).error
    assert "no cores that --cores names are as many" in error


def test_a_changed_bundle(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    (bundle / "models" / "w4a4.onnx").write_bytes(b"another")
    assert "w4a4.onnx: not the file" in pqv("android", "push", bundle).error
    (bundle / "models" / "w4a4.onnx").unlink()
    os.mkfifo(bundle / "models" / "w4a4.onnx")
    assert "w4a4.onnx: there is no such file" in pqv("android", "push", bundle).error
    (bundle / "manifest.json").write_text("{")
    assert "manifest.json: not a manifest" in pqv("android", "push", bundle).error
    assert "not a bundle" in pqv("android", "push", bundle.parent).error
    (bundle / "manifest.json").unlink()
    (bundle / "manifest.json").symlink_to("/dev/zero")
    assert "not a bundle" in pqv("android", "push", bundle).error
    assert phone.commands == []


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../secret", "models/../../secret", "models//m", "./m", "", "a\nb", "a/"],
)
def test_a_path_that_leaves_the_bundle(path: str, pqv: Pqv, phone: Phone, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"].append({**manifest["files"][0], "path": path})
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    for command in ("push", "bench"):
        error = pqv("android", command, bundle).error
        assert f"the path {path!r} does not stay in the bundle" in error
    assert phone.commands == []


@pytest.mark.parametrize(
    "change",
    [
        {"files": [5]},
        {"files": {"path": "m", "sha256": "0"}},
        {"files": [{"path": 5, "sha256": "0"}]},
        {"files": [{"path": "m", "sha256": None}]},
        {"models": [{"name": "m", "kind": ["pqv"], "path": "m"}]},
        {"models": 5},
        {"models": None},
        {"format": {}},
        None,
        5,
        [],
    ],
    ids=repr,
)
def test_a_manifest_of_wrong_types(change: Any, pqv: Pqv, phone: Phone, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    changed = {**manifest, **change} if isinstance(change, dict) else change
    (bundle / "manifest.json").write_text(json.dumps(changed))
    assert "manifest.json: not " in pqv("android", "push", bundle).error
    assert phone.commands == []


def test_a_model_that_is_no_file_of_the_bundle(pqv: Pqv, phone: Phone, bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["models"][0]["path"] = "../../data/m.onnx"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    error = pqv("android", "bench", bundle).error
    assert "the model '../../data/m.onnx' is none of the bundle's files" in error
    assert phone.commands == []
