"""The runtimes that phones use, as far as they need not be installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.arm64 import mobile as arm64
from benchmarks.arm64.count import CONTESTANT_NAMES, _files
from benchmarks.end_to_end import __main__ as end_to_end
from benchmarks.end_to_end import files, peers, pythons
from benchmarks.end_to_end.child import Child, ChildError
from benchmarks.end_to_end.mobile_runtimes import OPENERS, MobileModel, ncnn_shape
from benchmarks.end_to_end.peers import MOBILE, PEERS
from pqv_onnx.errors import PqvError

NAMES = [name for name, contestant in PEERS.items() if contestant.environment == MOBILE]


def test_all_three_are_compared_in_float_and_in_int8() -> None:
    runtimes = {PEERS[name].runtime for name in NAMES}
    assert runtimes == set(OPENERS) == {"executorch", "litert", "ncnn"}
    assert {f"{runtime}-{kind}" for runtime in runtimes for kind in ("fp32", "int8")} <= set(NAMES)
    assert set(NAMES) <= set(CONTESTANT_NAMES)


def test_an_environment_is_used_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "CACHE", tmp_path)
    assert pythons.find_python("mobile") == pythons.find_python("") == Path(sys.executable)
    python = tmp_path / "mobile" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert PEERS["ncnn-int8"].python == python
    assert PEERS["ort-fp32"].python == Path(sys.executable)


def test_what_an_interpreter_has() -> None:
    python = Path(sys.executable)
    assert pythons.missing(python, ("json", "no_such_module", "numpy")) == ["no_such_module"]
    assert pythons.versions(python, ("numpy", "no-such-package")) == {"numpy": np.__version__}


def test_what_is_not_installed_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "missing", lambda python, modules: [modules[-1]])
    skipped: list[str] = []
    monkeypatch.setattr(end_to_end, "prepare", lambda model, present: ({}, {}))
    assert end_to_end._prepare("m", ["executorch-int8", "ncnn-int8"], skipped) == {}
    assert skipped == [
        "m, executorch-int8: torchao not installed",
        "m, ncnn-int8: ncnn not installed",
    ]
    monkeypatch.setattr("benchmarks.arm64.count.prepare", lambda model, present: ({}, {}))
    assert _files("m", ["litert-int8"]) == {}
    assert "skipped litert-int8: ai_edge_litert not installed" in capsys.readouterr().out


def test_files_depend_on_the_versions_of_their_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for version in ("1", "2"):
        monkeypatch.setattr(files, "versions", lambda *_, version=version: {"ncnn": version})
        names.add(files._file_name(PEERS["ncnn-int8"]))
    assert len(names) == 2


def test_sizes_of_an_input_are_read() -> None:
    text = "7767517\n2 2\nInput in0 0 1 in0 0=320 1=224 2=3\nReLU r 1 1 in0 out0 0=1.0\n"
    assert ncnn_shape(text) == (3, 224, 320)


def test_batches_are_refused() -> None:
    config: dict[str, Any] = {"runtime": "ncnn", "path": "m.param", "threads": 1, "batch": 8}
    with pytest.raises(ValueError, match="batches of one image"):
        MobileModel(config)


def test_a_child_is_run_by_the_interpreter_that_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho this is not python >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(ChildError, match="this is not python"):
        Child({}, {}, python)


def test_without_a_tool_arm64_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm64, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PqvError, match="mmdebstrap not found"):
        arm64._debian_python()
