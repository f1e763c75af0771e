"""The definitions of every op agree, bit for bit, on the same inputs."""

from __future__ import annotations

import onnxruntime
import pytest

from pqv_onnx.ops.domain import OPS
from pqv_onnx.runtime.info import library_info
from pqv_onnx.runtime.library import get_library_path
from tests.ops.cases import random_case
from tests.ops.oracle import ORACLES
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_reference,
    run_torch,
)

every_op = pytest.mark.parametrize("name", OPS)
no_library = pytest.param("none", marks=pytest.mark.skip(reason="no op library is built"))
every_variant = pytest.mark.parametrize("isa", library_variants() or [no_library])


@every_op
@pytest.mark.parametrize("seed", range(20))
def test_torch_is_the_words(name: str, seed: int) -> None:
    case = random_case(name, seed, small=True)
    expected = ORACLES[name](case.inputs, case.attributes)
    assert_same(run_torch(name, case.inputs, case.attributes), expected, f"torch {case}")


@every_op
@pytest.mark.parametrize("seed", range(40))
def test_onnx_function_is_torch(name: str, seed: int) -> None:
    case = random_case(name, seed)
    expected = run_torch(name, case.inputs, case.attributes)
    assert_same(run_function(name, case.inputs, case.attributes), expected, f"{name} {seed}")


@every_op
@pytest.mark.parametrize("seed", range(6))
def test_reference_evaluator_is_torch(name: str, seed: int) -> None:
    case = random_case(name, seed, small=True)
    expected = run_torch(name, case.inputs, case.attributes)
    assert_same(run_reference(name, case.inputs, case.attributes), expected, f"{name} {seed}")


@every_variant
@every_op
@pytest.mark.parametrize("small", [False, True])
def test_library_is_torch(name: str, isa: str, small: bool) -> None:
    for seed in range(60):
        case = random_case(name, seed, small)
        expected = run_torch(name, case.inputs, case.attributes)
        found = run_library(name, case.inputs, case.attributes, isa)
        assert_same(found, expected, f"{name} {isa} {seed}")


@every_variant
@every_op
def test_library_beside_the_function(name: str, isa: str) -> None:
    """The library goes first, and the forced variant of it is the one that ran."""
    case = random_case(name, 0)
    expected = run_torch(name, case.inputs, case.attributes)
    # The counters live as long as the library stays loaded, and asking for them counts, too.
    keep_loaded = onnxruntime.SessionOptions()
    keep_loaded.register_custom_ops_library(get_library_path())
    runs = [library_info()["runs"][isa], library_info()["runs"][isa]]
    found = run_library(name, case.inputs, case.attributes, isa, with_function=True)
    runs.append(library_info()["runs"][isa])
    assert_same(found, expected, f"{name} {isa}")
    assert runs[2] - runs[1] == runs[1] - runs[0] + 1
