"""Residual streams, their links, and segments that can be run one after the other."""

from __future__ import annotations

import pytest

from pqv_onnx.trace.nodes import Concat, Node
from pqv_onnx.trace.streams import origin
from tests.trace.models import MODELS, graph

STREAMS = {
    "vit": [4],
    "deit_distilled": [4],
    "registers": [4],
    "parallel": [8],
    "parallel_mlp": [4],
    "clip": [4],
    "siglip": [4, 1],
    "relative_bias": [4],
    "beit": [4],
    "eva02": [4],
    "dinov3": [4],
    "swin": [4, 4],
    "swinv2": [4, 4],
    "swinv2_cr": [4, 4],
    "naflex": [4],
    "naflex_map": [4, 1],
    "hiera": [2, 1, 3],
    "mixer": [4],
    "resmlp": [4],
    "differential": [0, 4, 0],
    "gmlp": [2],
    "aimv2": [4],
}
"""How many links each stream has."""


@pytest.mark.parametrize("structure", STREAMS)
def test_links(structure: str) -> None:
    assert [len(stream.links) for stream in graph(structure).streams] == STREAMS[structure]


@pytest.mark.parametrize("structure", MODELS)
def test_links_are_chains(structure: str) -> None:
    """Each link's carried input is the value before, moved; the branch is computed from it."""
    for stream in graph(structure).streams:
        value = stream.start
        for link in stream.links:
            assert origin(link.node.nodes[link.carried]) is value
            value = link.node


@pytest.mark.parametrize("structure", MODELS)
def test_segments_see_one_value_each(structure: str) -> None:
    whole = graph(structure)
    segments = whole.segments()
    assert [node for segment in segments for node in segment.nodes] == list(whole.nodes)
    assert segments[0].input is None
    for before, segment in zip(segments, segments[1:], strict=False):
        assert segment.input is before.output
        inside = {*segment.nodes, segment.input}
        assert all(value in inside for node in segment.nodes for value in node.nodes)


def test_segments_of_vit_are_half_blocks() -> None:
    whole = graph("vit")
    (stream,) = whole.streams
    assert isinstance(stream.start, Concat)
    links = [link.node for link in stream.links]
    outputs = [segment.output for segment in whole.segments()]
    assert outputs == [stream.start, *links, whole.output]


def test_segments_of_swin_have_the_merging_between_stages() -> None:
    first, second = graph("swin").streams
    assert first.start.path == "patch_embed.norm"
    assert second.start.path == "layers.1.downsample.reduction"
    whole = graph("swin")
    outputs = [segment.output.path for segment in whole.segments()]
    assert outputs == [
        "patch_embed.norm",
        *(["layers.0.blocks.0"] * 2 + ["layers.0.blocks.1"] * 2),
        "layers.1.downsample.reduction",
        *(["layers.1.blocks.0"] * 2 + ["layers.1.blocks.1"] * 2),
        "head.fc",
    ]


def test_parallel_branches_have_a_link_each() -> None:
    """x + (a + b) is (x + a) + b; the second starts from the first, its branch from x."""
    (stream,) = graph("parallel").streams
    kinds: list[Node] = [link.node.nodes[1 - link.carried] for link in stream.links]
    assert len(kinds) == 8
    assert len({node.path for node in kinds}) == 8
