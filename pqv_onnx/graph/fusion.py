"""Fusion of ops on an exported graph; the bits stay the same."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter import MatchResult, RewriteRuleClassBase, RewriteRuleSet

from pqv_onnx.ops.domain import DOMAIN, VERSION


class FuseAttention(ir.passes.InPlacePass):
    """Replace what splits, computes and merges the heads of self-attention by IntAttention.

    Attention with a bias (Swin) is no such op and stays as it is. Comes after `NameByModule`:
    the new node is called after the module that the replaced ones belong to.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        count = RewriteRuleSet([_Attention.rule()]).apply_to_model(model)
        if count > 0:
            RemoveUnusedNodesPass()(model)
        for node in model.graph:
            if node.op_type == "IntAttention":  # its output has the name of the replaced one's
                node.outputs[0].name = node.name
        return ir.passes.PassResult(model, modified=count > 0)


class _Attention(RewriteRuleClassBase):
    """What `pqv_onnx.integer.blocks.IntegerAttention` does between qkv and proj."""

    def pattern(self, op: Any, qkv: Any, split: Any, merged: Any) -> Any:
        """Axes of the split heads: Q, K, V; image; head; token; channel."""
        heads = op.Transpose(op.Reshape(qkv, split), perm=[2, 0, 3, 1, 4])
        q, k, v = (op.Squeeze(op.Slice(heads, [i], [i + 1], [0]), [0]) for i in range(3))
        logits = op.IntMatMul(q, k, _domain=DOMAIN)
        weights = op.IntSoftmax2n(logits, _domain=DOMAIN, _outputs=["weights"])
        means = op.IntWeightedMean(weights, v, _domain=DOMAIN, _outputs=["means"])
        return op.Reshape(op.Transpose(means, perm=[0, 2, 1, 3]), merged)

    def check(self, context: Any, split: ir.Value, merged: ir.Value, **_: Any) -> MatchResult:
        """The shapes are [-1, T, 3, heads, d] and [-1, T, heads * d]."""
        result = MatchResult()
        split_dims, merged_dims = _constant(split), _constant(merged)
        if len(split_dims) != 5 or split_dims[2] != 3:
            return result.fail(f"{split_dims} does not split Q, K and V")
        images, tokens, heads, depth = split_dims[:2] + split_dims[3:]
        if merged_dims != [images, tokens, heads * depth]:
            return result.fail(f"{merged_dims} does not merge heads of {split_dims}")
        return result

    def rewrite(
        self, op: Any, qkv: ir.Value, split: ir.Value, weights: ir.Value, means: ir.Value, **_: Any
    ) -> ir.Value:
        """One node with the attributes of all."""
        softmax, mean = weights.producer(), means.producer()
        assert softmax is not None and softmax.name is not None and mean is not None
        value: ir.Value = op.IntAttention(
            qkv,
            num_heads=_constant(split)[3],
            softmax_shift=softmax.attributes["shift"].as_int(),
            softmax_multiplier=softmax.attributes["multiplier"].as_int(),
            log2=softmax.attributes["log2"].as_int(),
            mean_shift=mean.attributes["shift"].as_int(),
            mean_multiplier=mean.attributes["multiplier"].as_int(),
            y_bits=mean.attributes["y_bits"].as_int(),
            _domain=DOMAIN,
            _version=VERSION,
        )
        node = value.producer()
        assert node is not None
        node.name = f"{softmax.name.rpartition('.')[0]}.attention"
        return value


def _constant(value: ir.Value) -> list[int]:
    """The values of a constant of rank 1, none of any other value."""
    tensor = ir.convenience.get_const_tensor(value)
    return [] if tensor is None else tensor.numpy().tolist()
