"""Self-attention whose heads lie as one of the fused ops expects them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from pqv_onnx.integer.windows import Windows
from pqv_onnx.trace.maps import places, sizes, split_chain, tokens
from pqv_onnx.trace.nodes import Add, Attention, Linear, Move, Node, Scale

N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class Layout:
    """All between two linear layers.

    Attributes:
        qkv: the layer that makes queries, keys and values side by side.
        source: what it reads, in the image's order.
        proj: the layer that reads the merged heads.
        heads: how many there are.
        windows: how the image is cut, if it is.
    """

    qkv: Linear
    source: Node
    proj: Linear
    heads: int
    windows: Windows | None


def find_layout(node: Attention, readers: Mapping[Node, list[Node]]) -> Layout | None:
    """The layout of an attention's heads; None if it is another than those of the ops."""
    chains = [split_chain(value) for value in node.nodes]
    qkv, ahead = chains[0][0], _chain_to(Linear, node, readers)
    if len(node.nodes) != 3 or any(source is not qkv for source, _ in chains) or ahead is None:
        return None
    merge, proj = ahead
    merged = places(node, merge)
    split = [found for _, chain in chains if (found := places(qkv, chain)) is not None]
    if not isinstance(qkv, Linear) or qkv.kernel is not None or merged is None or len(split) < 3:
        return None
    heads = int(node.shape[-3])  # type: ignore[arg-type]
    if not node.biases:
        count, width = (int(size) for size in node.shape[-2:])  # type: ignore[arg-type]
        windows = Windows((1, count), (1, count), (0, 0))
        same = _is_cut(windows, heads, width, split, merged)
        return Layout(qkv, qkv.nodes[0], proj, heads, None) if same else None
    return _window_layout(node, qkv, proj, split, merged, readers)


def _window_layout(
    node: Attention,
    qkv: Linear,
    proj: Linear,
    split: list[Tensor],
    merged: Tensor,
    readers: Mapping[Node, list[Node]],
) -> Layout | None:
    """The layout with windows of an image, or of all tokens as an image of one row."""
    heads, count, width = (int(size) for size in node.shape[-3:])  # type: ignore[arg-type]
    source, before = split_chain(qkv.nodes[0])
    after = _chain_to(Add, proj, readers, Scale)
    order, back = tokens(source, before), None if after is None else tokens(proj, after[0])
    if order is None or back is None or len(order) != len(back):
        return None
    channels = 3 * heads * width
    in_image = [order[part // channels] * channels + part % channels for part in split]
    merged = merged.reshape(-1, heads * width)[back]
    for windows in _candidates(source, order, count):
        if _is_cut(windows, heads, width, in_image, merged):
            return Layout(qkv, source, proj, heads, windows)
    return None


def _is_cut(windows: Windows, heads: int, width: int, split: list[Tensor], merged: Tensor) -> bool:
    """Whether places in qkv and in the context are those of the fused op."""
    shape = (1, *windows.grid, 3 * heads * width)
    cut = windows.split(torch.arange(math.prod(shape)).reshape(shape), heads)[:, 0]
    if not all(in_same_order(part, own) for part, own in zip(cut, split, strict=True)):
        return False
    context = torch.arange(cut[0].numel()).reshape(1, *cut[0].shape)
    return in_same_order(windows.merge(context), merged)


def in_same_order(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have equal elements, whatever their shapes."""
    return torch.equal(first.flatten(), second.flatten())


def _candidates(source: Node, order: Tensor, count: int) -> Iterator[Windows]:
    """Windows of ``count`` tokens that begin with the first token of ``order``."""
    height, width = (1, len(order)) if len(source.shape) != 4 else sizes(source)[1:3]
    shift = divmod(int(order[0]), width)
    for h in range(1, count + 1):
        if count % h == 0 and height % h == 0 and width % (count // h) == 0:
            yield Windows((height, width), (h, count // h), shift)


def _chain_to(
    kind: type[N], node: Node, readers: Mapping[Node, list[Node]], *passed: type[Node]
) -> tuple[list[Move], N] | None:
    """The moves between a node and the one of a kind that alone reads it, if others pass it on.

    Args:
        kind: of the node to find.
        node: where to begin.
        readers: of each node.
        passed: kinds that may stand between, besides moves.
    """
    chain: list[Move] = []
    while len(readers[node]) == 1:
        (node,) = readers[node]
        if isinstance(node, kind):
            return chain, node
        if isinstance(node, Move):
            chain.append(node)
        elif not isinstance(node, passed):
            return None
    return None
