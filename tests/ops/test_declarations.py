"""What C++ knows of the ops is what the table says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.declarations import check, headers
from pqv_onnx.ops.domain import OPS, Attribute, Input, Op
from pqv_onnx.ops.registry import FUNCTIONS


@pytest.mark.parametrize("path", headers(), ids=lambda path: path.name)
def test_headers_are_fresh(path: Path) -> None:
    hint = "run `python -m pqv_onnx.ops.declarations`"
    assert path.read_text() == headers()[path], hint


X = Input("X", "int8", ("...", "C"))


@pytest.mark.parametrize(
    ("inputs", "attributes", "dims", "sentence"),
    [
        ((X, X), (), (), "X is declared twice"),
        ((X,), (), ("...", "D"), "no input has the axis D"),
        ((Input("X", "float", ("C",)),), (), (), "X is float, expected int8, uint8, int16, int32"),
        ((replace(X, values=range(3)),), (), (), "X has values, but is no constant"),
        (
            (replace(X, constant=True, values=range(129)),),
            (),
            (),
            "X has values that no int8 holds",
        ),
        ((X,), (Attribute("k", range(1)),), (), "k may be one number, expected several"),
        ((X,), (Attribute("k", range(4, 8), 8),), (), "k is 8 by default, which it may not be"),
        ((X,), (Attribute("k", (0, 1), below="K"),), (), "k is below K, which is no attribute"),
    ],
)
def test_mistakes_are_named(
    inputs: tuple[Input, ...],
    attributes: tuple[Attribute, ...],
    dims: tuple[str, ...],
    sentence: str,
) -> None:
    with pytest.raises(PqvError, match=f"^pqv_onnx/ops/domain.py: IntX: {sentence}$"):
        check(Op("IntX", inputs, attributes, "int8", dims))


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.fused_from])
def test_fused_ops_are_defined_by_their_parts(name: str) -> None:
    calls = [node.op_type for node in FUNCTIONS[name].to_function_proto().node]
    assert [call for call in calls if call in OPS] == list(OPS[name].fused_from)
