"""Self-attention whose heads lie as one of the fused ops expects them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pqv_onnx.integer.windows import Size, Windows
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.maps import chain_to, places, reads_alone, sizes, split_chain, tokens
from pqv_onnx.trace.nodes import (
    Add,
    Attention,
    Linear,
    Move,
    Node,
    Norm,
    Rope,
    Scale,
    reads_channels,
)


@dataclass(frozen=True)
class HeadOp:
    """What is done to each token's channels of a head, between the linear layer and the product.

    Attributes:
        node: a norm or a rotary embedding.
        order: which of its rows is that of token t of qkv and of head h, int64 [T, H].
    """

    node: Norm | Rope
    order: Tensor


@dataclass(frozen=True)
class Layout:
    """All between two linear layers.

    Attributes:
        layers: what makes queries, keys and values: all side by side, or three.
        source: what they read, in the image's order.
        proj: the layer that reads the merged heads, or a norm in front of it.
        heads: how many there are.
        width: channels of each.
        windows: how the image is cut, if it is.
        ops: of queries, keys and values, in their order.
        end: what the layer behind gives, in the image's order.
    """

    layers: tuple[Linear, ...]
    source: Node
    proj: Node
    heads: int
    width: int
    windows: Windows | None
    ops: list[list[HeadOp]]
    end: Node

    @property
    def tokens(self) -> int:
        """Of one image."""
        return math.prod(sizes(self.layers[0])[:-1])


def find_layout(node: Attention, graph: Graph) -> Layout | None:
    """The layout of an attention's heads; None if it is another than those of the ops."""
    parts = [split_chain(value, Move, Norm, Rope) for value in node.nodes]
    layers = _layers(node, [source for source, _ in parts])
    ahead = chain_to(Linear | Norm, node, graph)
    if layers is None or ahead is None or not reads_alone(node, graph):
        return None
    merge, proj = ahead
    merged = places(node, merge)
    moves = [[step for step in chain if isinstance(step, Move)] for _, chain in parts]
    ways = zip(parts, moves, strict=True)
    split = [found for (source, _), way in ways if (found := places(source, way)) is not None]
    if merged is None or len(split) < 3:
        return None
    heads, count, width = sizes(node)[-3:]
    channels = heads * width
    if sizes(layers[0])[-1] * len(layers) != 3 * channels or sizes(proj.nodes[0])[-1] != channels:
        return None  # heads are no part of a token's channels, or not merged
    if len(layers) == 3:
        split = [_side_by_side(part, channels, index) for index, part in enumerate(split)]
    source, windows, end = layers[0].nodes[0], None, cast(Node, proj)
    if node.biases:
        if not isinstance(proj, Linear):
            return None
        in_image = _find_windows(node, layers[0], proj, split, merged, graph)
        if in_image is None:
            return None
        source, windows, split, end = in_image
    elif not _is_cut(Windows((1, count), (1, count), (0, 0)), heads, width, split, merged):
        return None
    blocks = [own.reshape(-1, width)[:, 0] // width for own in split]
    done = [_ops(way, own, heads, graph) for (_, way), own in zip(parts, blocks, strict=True)]
    ops = [own for own in done if own is not None]
    if len(ops) < 3:
        return None
    return Layout(layers, source, proj, heads, width, windows, ops, end)


def _layers(node: Attention, sources: list[Node]) -> tuple[Linear, ...] | None:
    """The one layer of all parts, or one of each, of as many tokens and channels."""
    found = tuple(dict.fromkeys(sources))
    layers = tuple(x for x in found if reads_channels(x))
    if len(sources) != 3 or len(layers) != len(found) or len(layers) == 2:
        return None
    alike = {sizes(layer) for layer in layers} == {sizes(layers[0])} and not node.biases
    return layers if len(layers) == 1 or alike else None


def _side_by_side(split: Tensor, channels: int, index: int) -> Tensor:
    """Places in a layer of so many channels as places in three side by side."""
    return split // channels * 3 * channels + index * channels + split % channels


def _ops(chain: list[Node], blocks: Tensor, heads: int, graph: Graph) -> list[HeadOp] | None:
    """The ops in qkv's order; None if one is not of a head's channels, or others read it.

    Args:
        chain: the ops and moves between a layer and the attention.
        blocks: which head's channels of qkv, of all its 3 * ``heads`` a token, come to each
            place of the attention, int64.
        heads: how many there are.
        graph: of all.
    """
    found = []
    places_of = blocks // (3 * heads) * heads + blocks % heads
    for index, node in enumerate(chain):
        if not isinstance(node, Norm | Rope):
            continue
        after = [step for step in chain[index:] if isinstance(step, Move)]
        rows = tokens(node, after)
        alone = all(len(graph.readers[step]) == 1 for step in (node, *after))
        if rows is None or len(rows) != len(places_of) or not alone:
            return None
        order = torch.empty_like(rows)
        order[places_of] = rows
        found.append(HeadOp(node, order.reshape(-1, heads)))
    return found


def _find_windows(
    node: Attention,
    qkv: Linear,
    proj: Linear,
    split: list[Tensor],
    merged: Tensor,
    graph: Graph,
) -> tuple[Node, Windows, list[Tensor], Node] | None:
    """Windows of an image, or of all tokens as an image of one row.

    Returns:
        What qkv reads in the image's order, the windows, places in qkv in that order, and what
        ``proj`` gives in it.
    """
    heads, count, width = sizes(node)[-3:]
    source, before = split_chain(qkv.nodes[0], Move)
    after = chain_to(Add | Norm, proj, graph, Scale)
    if after is None:
        return None
    chain, _ = after
    order, back = tokens(source, before), tokens(proj, chain)
    if order is None or back is None or len(order) != len(back):
        return None
    channels = 3 * heads * width
    in_image = [order[part // channels] * channels + part % channels for part in split]
    merged = merged.reshape(-1, heads * width)[back]
    for windows in _candidates(_image_size(source, before), order, count):
        if _is_cut(windows, heads, width, in_image, merged):
            return source, windows, in_image, chain[-1] if chain else proj
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


def _image_size(source: Node, chain: list[Move]) -> Size:
    """Height and width of an image of tokens that is cut, one row if it never has four axes."""
    found = (sizes(node) for node in (source, *chain) if len(node.shape) == 4)
    _, height, width, _ = next(found, (1, 1, math.prod(sizes(source)[:-1]), 1))
    return height, width


def _candidates(image: Size, order: Tensor, count: int) -> Iterator[Windows]:
    """Windows of ``count`` tokens that begin with the first token of ``order``."""
    height, width = image
    shift = divmod(int(order[0]), width)
    for h in range(1, count + 1):
        w = count // h
        fits = count % h == 0 and height % h == 0 and width % w == 0
        if fits and shift[0] < h and shift[1] < w:
            yield Windows((height, width), (h, w), shift)
