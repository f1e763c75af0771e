"""Fusion of ops on an exported graph; the bits stay the same."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter import MatchResult, RewriteRuleClassBase, RewriteRuleSet
from onnxscript.rewriter.pattern import Var

from pqv_onnx.ops.domain import DOMAIN, OPS, VERSION


class FuseAttention(ir.passes.InPlacePass):
    """Replace what splits, computes and merges the heads of self-attention by one op.

    IntAttention, or IntWindowAttention where there is a bias. Comes after `NameByModule`: the new
    node is called after the module that the replaced ones belong to.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        count = sum(RewriteRuleSet([rule]).apply_to_model(model) for rule in _RULES)
        if count > 0:
            RemoveUnusedNodesPass()(model)
        for node in model.graph:
            if node.domain == DOMAIN and "IntWeightedMean" in OPS[node.op_type].fused_from:
                node.outputs[0].name = node.name  # it has the name of the replaced one's
        return ir.passes.PassResult(model, modified=count > 0)


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


class _Attention(RewriteRuleClassBase):
    """What `pqv_onnx.integer.attention.SelfAttention` does."""

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
        softmax = weights.producer()
        assert softmax is not None
        value: ir.Value = op.IntAttention(
            qkv,
            num_heads=_constant(split)[3],
            **_attributes(softmax, means),
            _domain=DOMAIN,
            _version=VERSION,
        )
        return _named_after(softmax, value)


class _Windows(RewriteRuleClassBase):
    """What `pqv_onnx.integer.attention.WindowAttention` does.

    Shifted windows roll the image along ``axes`` before it is cut, and back after.
    """

    def __init__(self, *axes: int) -> None:
        """Take the axes, 1 for rows and 2 for columns."""
        super().__init__()
        self.axes = axes

    def pattern(self, op: Any, qkv: Any, split: Any, parts: Any, cut: Any, merged: Any) -> Any:
        """The arguments after qkv are shapes."""
        x = qkv
        for axis in self.axes:
            x = _roll(op, x, axis, "there")
        x = _windows(op, x, split, parts, cut, merged)
        for axis in self.axes:
            x = _roll(op, x, axis, "back")
        return x

    def check(
        self,
        context: Any,
        split: ir.Value,
        parts: ir.Value,
        cut: ir.Value,
        merged: ir.Value,
        **rolls: Any,
    ) -> MatchResult:
        """All shapes are those of one cut into windows; the second roll undoes the first."""
        result = _check_windows(*map(_constant, (split, parts, cut, merged)))
        for axis in self.axes if result else ():
            size = [_constant(merged)[axis]]
            there, back = (_constant(rolls[f"{name}_{axis}"]) for name in ("there", "back"))
            if _constant(rolls[f"size_{axis}"]) != size or [sum(there + back)] != size:
                return result.fail(f"rolls by {there} and {back} do not cancel for {size} tokens")
        return result

    def rewrite(
        self,
        op: Any,
        qkv: ir.Value,
        split: ir.Value,
        weights: ir.Value,
        means: ir.Value,
        **rolls: Any,
    ) -> ir.Value:
        """One node with the attributes of all."""
        softmax = weights.producer()
        assert softmax is not None
        window = _constant(split)[2:5:2]
        up, left = (
            _constant(rolls[f"there_{axis}"])[0] if axis in self.axes else 0 for axis in (1, 2)
        )
        value: ir.Value = op.IntWindowAttention(
            qkv,
            *softmax.inputs[1:],
            window_height=window[0],
            window_width=window[1],
            roll_height=up,
            roll_width=left,
            **_attributes(softmax, means),
            _domain=DOMAIN,
            _version=VERSION,
        )
        return _named_after(softmax, value)


def _roll(op: Any, x: Any, axis: int, name: str) -> Any:
    """Pattern: the first tokens along an axis come last."""
    by, size = Var(f"{name}_{axis}"), Var(f"size_{axis}")
    return op.Concat(op.Slice(x, by, size, [axis]), op.Slice(x, [0], by, [axis]), axis=axis)


def _windows(op: Any, x: Any, split: Any, parts: Any, cut: Any, merged: Any) -> Any:
    """Pattern: attention in windows of ``x``; the arguments after it are shapes."""
    heads = op.Reshape(op.Transpose(op.Reshape(x, split), perm=[5, 0, 1, 3, 6, 2, 4, 7]), parts)
    q, k, v = (op.Squeeze(op.Slice(heads, [i], [i + 1], [0]), [0]) for i in range(3))
    logits = op.IntMatMul(q, k, _domain=DOMAIN)
    weights = op.IntSoftmax2nBias(
        logits, _domain=DOMAIN, _outputs=["weights"], _allow_other_inputs=True
    )
    means = op.IntWeightedMean(weights, v, _domain=DOMAIN, _outputs=["means"])
    return op.Reshape(op.Transpose(op.Reshape(means, cut), perm=[0, 1, 4, 2, 5, 3, 6]), merged)


def _check_windows(
    split: list[int], parts: list[int], cut: list[int], merged: list[int]
) -> MatchResult:
    """Shapes [-1, rows, h, columns, w, 3, heads, d] and what follows from it."""
    result = MatchResult()
    if len(split) != 8 or split[5] != 3:
        return result.fail(f"{split} does not split windows, Q, K and V")
    images, rows, h, columns, w, _, heads, depth = split
    if (
        parts != [3, images, rows * columns, heads, h * w, depth]
        or cut != [images, rows, columns, heads, h, w, depth]
        or merged != [images, rows * h, columns * w, heads * depth]
    ):
        result.fail(f"{parts}, {cut} and {merged} do not follow from {split}")
    return result


def _attributes(softmax: ir.Node, means: ir.Value) -> dict[str, int]:
    """What every fused attention takes over from its softmax and its mean."""
    mean = means.producer()
    assert mean is not None
    return {
        "softmax_shift": softmax.attributes["shift"].as_int(),
        "softmax_multiplier": softmax.attributes["multiplier"].as_int(),
        "log2": softmax.attributes["log2"].as_int(),
        "mean_shift": mean.attributes["shift"].as_int(),
        "mean_multiplier": mean.attributes["multiplier"].as_int(),
        "y_bits": mean.attributes["y_bits"].as_int(),
    }


def _named_after(softmax: ir.Node, value: ir.Value) -> ir.Value:
    """Calls the node that makes ``value`` after the module of its softmax."""
    node = value.producer()
    assert node is not None and softmax.name is not None
    node.name = f"{softmax.name.rpartition('.')[0]}.attention"
    return value


def _constant(value: ir.Value) -> list[int]:
    """The values of a constant of rank 1, none of any other value."""
    tensor = ir.convenience.get_const_tensor(value)
    return [] if tensor is None else tensor.numpy().tolist()


# One after the other: what is inside rolls also matches by itself.
_RULES = [_Attention.rule(), *(_Windows.rule(*axes) for axes in ((1, 2), (1,), (2,), ()))]
