"""Fusion of a matmul and its GELU on an exported graph; the bits stay the same."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import MatchResult, RewriteRuleClassBase, RewriteRuleSet

from pqv_onnx.ops.domain import DOMAIN, OPS, VERSION


class FuseGelu(ir.passes.InPlacePass):
    """Replace a matmul and the IntGELU that alone reads it by one op.

    Comes after `NameByModule`: the new node is called after the module of the matmul, its output
    after that of the GELU, which is what it holds.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        rules = [
            _MatMulGelu.rule(op.name, op.fused_from[0])
            for op in OPS.values()
            if "IntGELU" in op.fused_from
        ]
        count = RewriteRuleSet(rules).apply_to_model(model)
        return ir.passes.PassResult(model, modified=count > 0)


class _MatMulGelu(RewriteRuleClassBase):
    """A matmul and the table behind it."""

    def __init__(self, fused: str, matmul: str) -> None:
        """Take the names of the op that does both, and of the matmul."""
        super().__init__()
        self.fused, self.matmul = fused, matmul

    def pattern(self, op: Any, table: Any) -> Any:
        """The matmul's inputs are taken over as they are."""
        matmul = getattr(op, self.matmul)
        hidden = matmul(_domain=DOMAIN, _outputs=["hidden"], _allow_other_inputs=True)
        return op.IntGELU(hidden, table, _domain=DOMAIN)

    def check(self, context: Any, hidden: ir.Value, **_: Any) -> MatchResult:
        """The table is one of 8-bit values."""
        result = MatchResult()
        matmul = hidden.producer()
        assert matmul is not None
        y_bits = matmul.attributes["y_bits"].as_int()
        return result if y_bits == 8 else result.fail(f"{hidden.name} has {y_bits} bits")

    def rewrite(self, op: Any, hidden: ir.Value, table: ir.Value) -> ir.Value:
        """One node with the inputs of both."""
        matmul = hidden.producer()
        assert matmul is not None
        kept = {a.name: matmul.attributes[a.name] for a in OPS[self.fused].attributes}
        value: ir.Value = getattr(op, self.fused)(
            *matmul.inputs,
            table,
            **kept,
            _domain=DOMAIN,
            _version=VERSION,
        )
        node = value.producer()
        assert node is not None
        node.name = matmul.name
        return value
