"""Which variant a session runs, and that it is the one that was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.end_to_end.caps import trap
from pqv_onnx.ops.domain import VERSION
from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.version import __version__
from tests.custom_ops.models import (
    library_info,
    make_info_session,
    make_model,
    make_session,
)

ROOT = Path(__file__).parents[2]
GELU_INPUTS = {"X": np.zeros(3, np.int8), "table": np.zeros((1, 256), np.int8)}


def test_info_tells_what_the_library_is() -> None:
    info = library_info()
    assert info["op_domain_version"] == VERSION
    assert info["variants"][-1] == "scalar"
    assert set(info["available"]) <= set(info["variants"])
    assert set(info["runs"]) == set(info["variants"])
    assert info["version"] == __version__


def test_the_first_available_variant_is_selected() -> None:
    info = library_info()
    assert info["selected"] == info["available"][0]


def test_an_empty_name_forces_nothing() -> None:
    assert library_info("")["selected"] == library_info()["selected"]


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avxvnni", "avx512vnni", "amx"])
def test_the_forced_variant_is_the_one_that_runs(isa: str) -> None:
    if isa not in library_info()["available"]:
        pytest.skip(f"this machine has no {isa}")
    before = library_info(isa)
    assert before["selected"] == isa
    session = make_session(make_model("IntGELU", GELU_INPUTS, {}), isa)
    for _ in range(5):
        session.run(None, {"X": GELU_INPUTS["X"]})
    after = library_info(isa)["runs"]
    for name, runs in after.items():
        # The call of Info itself counts, once it is over.
        assert runs - before["runs"][name] == (6 if name == isa else 0)


def test_sessions_of_one_process_keep_their_variants() -> None:
    scalar = make_info_session("scalar")
    default = make_info_session()
    (text,) = scalar.run(None, {"probe": np.zeros(1, np.int8)})
    assert b'"selected": "scalar"' in text.tobytes()
    (text,) = default.run(None, {"probe": np.zeros(1, np.int8)})
    assert f'"selected": "{library_info()["selected"]}"'.encode() in text.tobytes()


@pytest.mark.parametrize("isa", ["nonsense", "AVX2", "scalar ", "x" * 5000, "%s%n"])
def test_an_unknown_variant_is_an_error(isa: str) -> None:
    expected = "is not a kernel variant of this library; it has: .*scalar"
    with pytest.raises(Exception, match=expected) as error:
        make_info_session(isa)
    assert f"PQV_ISA={isa[:64]}" in str(error.value)


def test_a_variant_the_cpu_lacks_is_an_error() -> None:
    """In a process whose CPU claims to have AVX2 at most."""
    if (library := trap()) is None:
        pytest.skip("CPUID cannot be trapped on this machine")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "CPUID_CAP": "avx2",
        "PQV_LIBRARY": get_library_path(),
    }

    def info(isa: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pqv_onnx.cli.main", "info"]
        settings = environment | {"PQV_ISA": isa}
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)

    assert info("").returncode == 0
    for isa in ("amx", "avx512vnni", "avxvnni"):
        if isa in library_info()["variants"]:
            done = info(isa)
            assert done.returncode == 1
            assert f"PQV_ISA={isa} asks for instructions that this CPU lacks" in done.stderr


def test_one_library_may_be_registered_many_times() -> None:
    for _ in range(50):
        for isa in library_info()["available"]:
            assert library_info(isa)["selected"] == isa
