"""Attention whose heads lie as a fused op expects them, and attention whose heads do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.integer.layouts import Layout, find_layout
from pqv_onnx.integer.windows import Windows
from pqv_onnx.qat.convert import describe
from pqv_onnx.trace import Graph, normalise, record
from pqv_onnx.trace.nodes import Attention, Norm
from tests.qat.models import float_model
from tests.trace.models import graph


def layouts(graph: Graph) -> list[Layout | None]:
    """Of each attention."""
    return [find_layout(node, graph) for node in graph.nodes if isinstance(node, Attention)]


@pytest.mark.parametrize("variant", ["token", "distilled", "registers", "without_bias"])
def test_vit(variant: str) -> None:
    for index, layout in enumerate(layouts(describe(float_model(variant)))):
        assert layout is not None
        path = f"blocks.{index}"
        assert [layer.path for layer in layout.layers] == [f"{path}.attn.qkv"]
        assert layout.proj.path == f"{path}.attn.proj"
        assert (layout.heads, layout.windows) == (2, None)
        assert layout.source is layout.layers[0].nodes[0]


SWINS: list[tuple[dict[str, Any], list[Windows]]] = [
    (
        {},
        [
            Windows((8, 6), (4, 3), (0, 0)),
            Windows((8, 6), (4, 3), (2, 1)),
            *[Windows((4, 3), (4, 3), (0, 0))] * 2,
        ],
    ),
    (
        {"depths": (2,), "num_heads": (2,), "window_size": (4, 6)},
        [Windows((8, 6), (4, 6), (0, 0)), Windows((8, 6), (4, 6), (2, 0))],
    ),
    (
        {"depths": (2,), "num_heads": (2,), "window_size": (8, 2)},
        [Windows((8, 6), (8, 2), (0, 0)), Windows((8, 6), (8, 2), (0, 1))],
    ),
    (
        {"depths": (2,), "num_heads": (1,), "window_size": (2, 2), "head_dim": 8},
        [Windows((8, 6), (2, 2), (0, 0)), Windows((8, 6), (2, 2), (1, 1))],
    ),
]


@pytest.mark.parametrize(("changes", "wanted"), SWINS)
def test_swin(changes: dict[str, Any], wanted: list[Windows]) -> None:
    """Shifted along both axes, one or none; what the layer reads is in the image's order.

    One window of a grid without a shift may be called any that is cut in the same way.
    """
    found = layouts(describe(float_model("swin", **changes)))
    assert len(found) == len(wanted)
    for layout, windows in zip(found, wanted, strict=True):
        assert layout is not None and layout.windows is not None
        height, width = windows.grid
        tokens = torch.arange(height * width).reshape(1, height, width, 1)
        qkv = tokens.repeat(1, 1, 1, 3)
        same = layout.windows.split(qkv.reshape(1, *layout.windows.grid, 3), 1)
        assert torch.equal(same.flatten(), windows.split(qkv, 1).flatten())
        assert layout.source.path.endswith("norm1")


def test_padded_windows_have_none() -> None:
    """Tokens of padding are in windows, but not in the image."""
    assert layouts(describe(float_model("swin", window_size=5, depths=(2,), num_heads=(2,)))) == [
        None,
        None,
    ]


class Block(nn.Module):
    """Attention of four tokens of width 8 in two heads, made by ``heads`` and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed(image).flatten(2).transpose(1, 2))
        q, k, v = self.heads(self.qkv(x))
        return self.proj(self.merged(F.scaled_dot_product_attention(q, k, v)))

    def heads(self, qkv: Tensor) -> Any:
        return qkv.unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)

    def merged(self, context: Tensor) -> Tensor:
        return context.transpose(1, 2).flatten(2)


class HeadsFirst(Block):
    def heads(self, qkv: Tensor) -> Any:
        return qkv.unflatten(2, (2, 3, 4)).permute(3, 0, 2, 1, 4).unbind(0)


class Exchanged(Block):
    def heads(self, qkv: Tensor) -> Any:
        q, k, v = super().heads(qkv)
        return k, q, v


class OtherMerge(Block):
    def merged(self, context: Tensor) -> Tensor:
        return context.permute(0, 2, 3, 1).flatten(2)


class ReadTwice(Block):
    def merged(self, context: Tensor) -> Tensor:
        x = super().merged(context)
        return x + self.proj(x)


class Normed(Block):
    def heads(self, qkv: Tensor) -> Any:
        q, k, v = super().heads(qkv)
        self.query = F.layer_norm(q, (4,))
        return self.query, k, v


class NormReadTwice(Normed):
    def merged(self, context: Tensor) -> Tensor:
        return super().merged(context + self.query)


class ValuesReadTwice(Block):
    def heads(self, qkv: Tensor) -> Any:
        q, k, self.value = super().heads(qkv)
        return q, k, self.value

    def merged(self, context: Tensor) -> Tensor:
        return super().merged(context + self.value)


class PerHead(Block):
    """What reads the context reads each head by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.each = nn.Linear(8, 8), nn.LayerNorm(4)

    def merged(self, context: Tensor) -> Tensor:
        return self.each(context.transpose(1, 2)).flatten(2)


class Halves(Block):
    """Two tokens of twice the width are four of the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed(image).flatten(2).transpose(1, 2)).reshape(-1, 2, 16)
        q, k, v = self.heads(self.qkv(x).reshape(-1, 4, 24))
        return self.proj(self.merged(F.scaled_dot_product_attention(q, k, v)))


def of(model: Block) -> list[Layout | None]:
    return layouts(normalise(record(model, (3, 8, 8))))


def test_parts_of_one_layer() -> None:
    (layout,) = of(Block())
    assert layout is not None and layout.heads == 2 and layout.windows is None


def test_ops_of_heads_are_done_in_the_order_of_the_layer() -> None:
    """A norm of [heads, tokens, 4] is one of [tokens, heads, 4]."""
    (layout,) = of(Normed())
    assert layout is not None
    ((op,), keys, values) = layout.ops
    assert isinstance(op.node, Norm) and keys == values == []
    assert op.order.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("structure", ["eva02", "dinov3", "rope_mixed", "swinv2", "swinv2_cr"])
def test_norms_and_rotary_embeddings_of_queries_and_keys(structure: str) -> None:
    for layout in layouts(graph(structure)):
        assert layout is not None
        assert [len(part) for part in layout.ops] == [1, 1, 0]
        assert (layout.windows is not None) == structure.startswith("swin")


def test_a_layer_each_for_queries_keys_and_values() -> None:
    for layout in layouts(graph("eva02_clip")):
        assert layout is not None and layout.windows is None
        assert [layer.path.rpartition(".")[2] for layer in layout.layers] == [
            *("q_proj", "k_proj", "v_proj")
        ]


@pytest.mark.parametrize(
    "model", [HeadsFirst, Exchanged, OtherMerge, NormReadTwice, ValuesReadTwice, PerHead, Halves]
)
def test_other_orders_have_none(model: type[Block]) -> None:
    assert of(model()) == [None]


def test_context_that_is_read_twice_has_none() -> None:
    assert of(ReadTwice()) == [None]
