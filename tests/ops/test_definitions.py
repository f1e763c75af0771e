"""The definitions of every op agree, bit for bit, on the same inputs."""

from __future__ import annotations

import pytest

from pqv_onnx.ops.domain import OPS
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
    case = random_case(name, 0)
    expected = run_torch(name, case.inputs, case.attributes)
    found = run_library(name, case.inputs, case.attributes, isa, with_function=True)
    assert_same(found, expected, f"{name} {isa}")
