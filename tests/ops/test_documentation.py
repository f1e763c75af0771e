"""Definitions as a reader of an exported file sees them."""

from __future__ import annotations

import re

from pqv_onnx.ops.documentation import meaning, summary
from pqv_onnx.ops.domain import DOMAIN, OPS
from pqv_onnx.ops.registry import function_protos

FUNCTIONS = function_protos(OPS)


def test_every_parameter_is_documented() -> None:
    documented = {f.name: f.doc_string for f in FUNCTIONS if f.domain == DOMAIN}
    assert set(documented) == set(OPS)
    for op in OPS.values():
        lines = documented[op.name].splitlines()
        for entry in (*op.inputs, *op.attributes):
            (line,) = [line for line in lines if line.startswith(f"- {entry.name}: ")]
            assert line.endswith(meaning(op, entry.name))
        assert lines[-1].startswith(f"- Y: {op.output_dtype} [")


def test_every_value_has_a_name() -> None:
    for function in FUNCTIONS:
        produced = [name for node in function.node for name in node.output]
        assert len(set(produced) | set(function.input)) == len(produced) + len(function.input)
        assert not [name for name in produced if re.fullmatch(r"tmp.*|return_val", name)]
        assert re.fullmatch(r"Y(_\d)?", function.output[0])


def test_the_first_line_is_a_sentence() -> None:
    for function in FUNCTIONS:
        assert function.doc_string == function.doc_string.strip()
        if function.domain == DOMAIN:
            assert summary(function).endswith(".") and ". " not in summary(function)
