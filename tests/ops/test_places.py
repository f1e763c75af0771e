"""What "Add an op" in CONTRIBUTING.md asks for is there; a step that was forgotten is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.ops.domain import OPS
from tests.ops.cases import MAKERS
from tests.ops.oracle import ORACLES

ROOT = Path(__file__).parents[2]
BINDINGS = "".join(path.read_text() for path in (ROOT / "custom_ops/bindings").glob("*.cc"))
HEADINGS = [line for line in (ROOT / "docs/ops.md").read_text().splitlines() if line[:3] == "## "]
FUZZER = (ROOT / "tests/custom_ops/fuzz_kernels.cc").read_text()
CASES = (ROOT / "tests/custom_ops/cases.py").read_text()


@pytest.mark.parametrize("name", OPS)
def test_nothing_was_forgotten(name: str) -> None:
    packed = name.startswith("Packed")
    places = {
        f"docs/ops.md: ## {name}": any(name in line[3:].split(", ") for line in HEADINGS),
        f"tests/ops/oracle.py: ORACLES[{name!r}]": name in ORACLES,
        f"tests/ops/cases.py: MAKERS[{name!r}]": name in MAKERS,
        f"tests/custom_ops/cases.py: large_inputs({name!r})": packed or f'"{name}"' in CASES,
        f"custom_ops/bindings: PQV_DEFINE_OP({name}": f"PQV_DEFINE_OP({name}," in BINDINGS,
        f'tests/custom_ops/fuzz_kernels.cc: {{"{name}"': f'{{"{name}", ' in FUZZER,
    }
    missing = [place for place, there in places.items() if not there]
    assert not missing, "missing: " + "; ".join(missing)
