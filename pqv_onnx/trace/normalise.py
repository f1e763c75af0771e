"""A recording to a graph of node kinds: readers of calls, then patterns of the dataflow."""

from __future__ import annotations

from pqv_onnx.trace.attention import attention
from pqv_onnx.trace.branches import branches
from pqv_onnx.trace.calls import Builder
from pqv_onnx.trace.constants import embedding, heads, is_factor, norm_factor
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.nodes import Negation, Node, Product, Scale, Softmax
from pqv_onnx.trace.pointwise import pointwise
from pqv_onnx.trace.readers import READERS
from pqv_onnx.trace.record import Recording
from pqv_onnx.trace.refusals import refuse
from pqv_onnx.trace.rope import rope
from pqv_onnx.trace.slices import early, neighbours
from pqv_onnx.trace.values import Const


def normalise(recording: Recording) -> Graph:
    """Find the kinds of nodes in what a model computes.

    Args:
        recording: of the model; see ``record``.

    Returns:
        The graph. Nothing in it depends on the number of images, on how timm wrote a pattern, or
        on the classes of modules.

    Raises:
        PqvError: a call that no rule takes; the sentence says in which module, and what it is.
    """
    graph = Graph.of(*Builder(READERS).build(recording))
    for rule in (rope, attention, pointwise, norm_factor, embedding):
        graph = graph.rewrite(rule)
    graph = heads(graph).rewrite(branches).rewrite(neighbours).rewrite(early)
    for node in graph.nodes:
        _check(node)
    return graph


def _check(node: Node) -> None:
    """Refuse what no pattern took."""
    if isinstance(node, Product | Softmax):
        name = "a matrix product" if isinstance(node, Product) else "a softmax"
        refuse(node.path, f"{name} outside of attention")
    if isinstance(node, Negation):
        refuse(node.path, "a negation outside of a rotary embedding")
    if isinstance(node, Scale) and isinstance(node.by, Const) and not is_factor(node.by.shape):
        refuse(
            node.path,
            f"multiplies by a constant of shape {list(node.by.shape)}",
            "one factor per channel",
        )
