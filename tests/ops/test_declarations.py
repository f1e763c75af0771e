"""What C++ knows of the ops is what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pqv_onnx.ops.declarations import headers
from pqv_onnx.ops.domain import OPS
from pqv_onnx.ops.registry import FUNCTIONS


@pytest.mark.parametrize("path", headers(), ids=lambda path: path.name)
def test_headers_are_fresh(path: Path) -> None:
    hint = "run `python -m pqv_onnx.ops.declarations`"
    assert path.read_text() == headers()[path], hint


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.fused_from])
def test_fused_ops_are_defined_by_their_parts(name: str) -> None:
    calls = [node.op_type for node in FUNCTIONS[name].to_function_proto().node]
    assert [call for call in calls if call in OPS] == list(OPS[name].fused_from)
