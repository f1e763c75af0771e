"""pqv_run as a program: timing, outputs, errors."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pqv_onnx.bench.profile import BETWEEN
from pqv_onnx.graph.load import load_model
from tests.custom_ops.models import library_info
from tests.runner.conftest import Run, error_of


def test_help_and_wrong_usage(pqv_run: Path) -> None:
    done = subprocess.run([pqv_run, "--help"], capture_output=True, text=True, check=True)
    assert "--cpu-mask HEX" in done.stdout
    for arguments, reason in {
        (): "expected a MODEL",
        ("m.onnx",): "expected an INPUT or --runs",
        ("--frobnicate", "1"): "--frobnicate: no such option",
        ("m.onnx", "--runs", "1", "--output", "x"): "--output: expected an INPUT",
        ("m.onnx", "x.raw", "--profile"): "--profile: expected --runs",
        ("m.onnx", "--runs"): "--runs : expected a whole number",
        ("m.onnx", "--runs", "-3"): "--runs -3: expected a whole number",
        ("m.onnx", "--threads", "1025"): "--threads 1025: expected a whole number from 1 to 1024",
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


def make_sysfs(root: Path) -> Path:
    files = {
        "class/thermal/thermal_zone0/type": "battery\n",
        "class/thermal/thermal_zone0/temp": "99000\n",
        "class/thermal/thermal_zone2/type": "cpu-1-0\n",
        "class/thermal/thermal_zone2/temp": "41500\n",
        "class/thermal/thermal_zone3/type": "cpu-1-1\n",
        "class/thermal/thermal_zone3/temp": "40000\n",
        "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1804800\n",
        "devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2841600\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_name_that_is_no_text_in_json(
    run: Run, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    for name in (
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\x80",
        "\u00e9".encode(),
    ):
        inputs = tmp_path / (os.fsdecode(name) + ".npy")
        np.save(inputs, np.zeros((1, 3, 16, 16), np.float32))
        options = ("--json", tmp_path / "out.json", tiny_onnx["w8a8"], inputs)
        done = run(*options, errors="replace")
        assert done.returncode == 0, done.stderr
        (entry,) = json.loads((tmp_path / "out.json").read_text("utf-8"))["results"]
        assert entry["input"] == bytes(inputs).decode(errors="replace")


def test_the_result_as_json(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model, inputs = tiny_onnx["w4a4"], tmp_path / 'two "inputs".npy'
    np.save(inputs, np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32))
    sysfs = make_sysfs(tmp_path / "sys")
    options = ["--runs", "5", "--cpu-mask", "1", "--top", "2", "--profile", "--sysfs", sysfs]
    done = run(*options, "--json", tmp_path / "out.json", model, inputs)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["model"] == str(model)
    assert result["library"]["selected"] == library_info()["selected"]
    assert [entry["index"] for entry in result["results"]] == [0, 1]
    assert {entry["input"] for entry in result["results"]} == {str(inputs)}
    assert all(len(entry["top"]) == 2 for entry in result["results"])
    clock = {"cpu": 0, "mhz": 1804.8, "maximum_mhz": 2841.6}
    assert result["before"] == {"temperature": 41.5, "clocks": [clock]} == result["after"]
    assert result["peak_memory_bytes"] > 1e6
    assert 0 < result["ms"]["minimum"] <= result["ms"]["p50"] <= result["ms"]["p99"]
    assert not list(Path.cwd().glob("pqv_run_*")), "the profiler's file is left"


def test_the_profile_counts_every_node(
    run: Run, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    model = tiny_onnx["w8a8"]
    done = run("--runs", "4", "--profile", "--json", tmp_path / "out.json", model)
    assert done.returncode == 0, done.stderr
    entries = {
        entry["op"]: entry for entry in json.loads((tmp_path / "out.json").read_text())["profile"]
    }
    assert entries[BETWEEN]["nodes"] == 0
    assert sum(entry["share"] for entry in entries.values()) == pytest.approx(1, abs=1e-4)
    for op in {node.op_type for node in load_model(model).graph.node if node.domain == "pqv"}:
        nodes = [node for node in load_model(model).graph.node if node.op_type == op]
        assert entries[op]["nodes"] == len(nodes)


def test_functions_have_no_library(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    run("--functions", "--runs", "1", "--json", tmp_path / "out.json", tiny_onnx["w8a8"])
    assert json.loads((tmp_path / "out.json").read_text())["library"] is None


OLD_ONNXRUNTIME = """
typedef struct { const void* (*get_api)(unsigned); const char* (*version)(void); } Base;
static const void* GetApi(unsigned version) { return (void*)0; }
static const char* Version(void) { return "1.17.3"; }
const Base* OrtGetApiBase(void) { static const Base base = {GetApi, Version}; return &base; }
"""


def test_an_onnxruntime_that_is_too_old(run: Run, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = tmp_path / "libonnxruntime.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library]
    subprocess.run(command, input=OLD_ONNXRUNTIME, text=True, check=True)
    error = error_of(run("--onnxruntime", library, "m.onnx", "--runs", "1"))
    assert error == "onnxruntime 1.17.3 is too old: 1.18 or newer is needed"


def test_libraries_for_another_processor(
    run: Run, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    header = bytearray(Path(sys.executable).read_bytes()[:64])
    found, header[18:20] = header[18], (40, 0)
    library = tmp_path / "libother.so"
    library.write_bytes(header)
    reason = f"{library}: is for another processor (ELF machine 40, expected {found})"
    for option in ("--onnxruntime", "--library"):
        assert error_of(run(option, library, tiny_onnx["w8a8"], "--runs", "1")) == reason


def test_a_variant_that_is_none(
    run: Run, tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PQV_ISA", "nonsense")
    assert "PQV_ISA=nonsense is not a kernel variant" in error_of(
        run("--runs", "1", tiny_onnx["w8a8"])
    )


def test_a_model_of_a_newer_op_domain(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx["w8a8"])
    for entry in model.metadata_props:
        if entry.key == "pqv.op_domain_version":
            entry.value = "2"
    onnx.save(model, tmp_path / "newer.onnx")
    error = error_of(run("--runs", "1", tmp_path / "newer.onnx"))
    reason = "the model wants version 2 of the op domain pqv, the library has version 1"
    assert error.endswith(f"newer.onnx: {reason}")
    done = run("--functions", "--runs", "1", tmp_path / "newer.onnx")
    assert done.returncode == 0, "the functions of the file are of its own version"


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


def test_sizes_that_do_not_fit_in_memory(run: Run, tmp_path: Path) -> None:
    for shape in ([1, 4294443040, 4295491616], [2**40, 2**30], [2**31], [3, 0]):
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
        onnx.save(
            helper.make_model(helper.make_graph(nodes, "g", [x], [y]), ir_version=10),
            tmp_path / "m.onnx",
        )
        reason = "x has no elements or too many, expected 1 to 1073741824 bytes"
        assert reason in error_of(run("--functions", "--runs", "1", tmp_path / "m.onnx"))


def test_files_without_an_end(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "x.raw").symlink_to("/dev/zero")
    reason = "x.raw: has too many bytes, expected at most 1073741824"
    assert reason in error_of(run(tiny_onnx["w8a8"], tmp_path / "x.raw"))


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    path = tmp_path / "zeros.raw"
    np.zeros((3, 16, 16), np.float32).tofile(path)
    return path


def test_outputs_behind_links(
    run: Run, tiny_onnx: dict[str, Path], zeros: Path, tmp_path: Path
) -> None:
    """The link stays one; a link that somebody has put there is not followed."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target, link, precious = folder / "out.raw", tmp_path / "link", tmp_path / "precious"
    link.symlink_to("folder/out.raw")
    precious.write_text("precious")
    (folder / "out.raw.part").symlink_to(precious)
    for _ in range(2):  # before there is a file, and after
        done = run("--output", link, tiny_onnx["w8a8"], zeros)
        assert done.returncode == 0, done.stderr
    assert link.is_symlink() and target.stat().st_size > 0
    assert precious.read_text() == "precious"


def test_outputs_that_are_no_files(run: Run, tiny_onnx: dict[str, Path], zeros: Path) -> None:
    arguments = (tiny_onnx["w8a8"], zeros)
    assert run("--output", "/dev/null", *arguments).returncode == 0
    assert Path("/dev/null").is_char_device()
    full = error_of(run("--output", "/dev/full", *arguments))
    assert full == "/dev/full: cannot be written: No space left on device"
    done = run("--output", "/dev/stdout", *arguments, text=False)
    assert done.returncode == 0 and len(done.stdout) > 4


def test_outputs_are_asked_for_before_the_work(run: Run, tmp_path: Path) -> None:
    for option in ("--output", "--json"):
        for place, reason in (
            (tmp_path, "Is a directory"),
            (tmp_path / "no" / "out", "No such file or directory"),
            (tmp_path / ("n" * 300), "File name too long"),
        ):
            error = error_of(run(option, place, "missing.onnx", "missing.raw"))
            assert error.endswith(f"cannot be written: {reason}")


def test_a_profile_that_fails_leaves_nothing(
    run: Run, tiny_onnx: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    output = ("--json", "/dev/full", "--runs", "1", "--profile")
    assert "No space left" in error_of(run(*output, tiny_onnx["w8a8"]))
    # onnxruntime may keep files of its own there
    assert not list(tmp_path.glob("pqv_run*"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "no"))
    error = error_of(run("--runs", "1", "--profile", tiny_onnx["w8a8"]))
    assert error.endswith("no folder can be made there for the profile: No such file or directory")


def test_an_interrupted_profile_leaves_nothing(
    pqv_run: Path, onnxruntime_library: Path, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    command = [pqv_run, "--onnxruntime", onnxruntime_library, "--functions", tiny_onnx["w8a8"]]
    # As many runs again with the profiler: enough for it to be found at work.
    command += ["--profile", "--runs", "1", "--warmup", "500"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while not list(tmp_path.glob("pqv_run*")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    assert not list(tmp_path.glob("pqv_run*"))


def test_control_characters_of_names(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[31m\n\u009b\u00e9.raw"
    shown = f"{tmp_path}/a\\x1b[31m\\x0a\\x9b\u00e9.raw"
    assert error_of(run(tiny_onnx["w8a8"], name)).startswith(f"{shown}: cannot be read")
    np.zeros((3, 16, 16), np.float32).tofile(name)
    assert run(tiny_onnx["w8a8"], name).stdout.splitlines()[0] == shown


def test_a_standard_output_that_is_full(run: Run, tiny_onnx: dict[str, Path]) -> None:
    with open("/dev/full", "wb") as full:
        done = run("--runs", "1", tiny_onnx["w8a8"], stdout=full)
    assert error_of(done) == "the standard output cannot be written"


def test_a_core_that_is_not_there(run: Run, tiny_onnx: dict[str, Path]) -> None:
    arguments = ["--cpu-mask", "8000000000000000", "--runs", "1", tiny_onnx["w8a8"]]
    assert "--cpu-mask 8000000000000000: " in error_of(run(*arguments))
