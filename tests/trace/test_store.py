"""Graphs as JSON: the same graph comes back, and damage is one sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace import Graph, evaluate, normalise, record
from pqv_onnx.trace.store import Stored, detach, from_json, map_consts, to_json
from pqv_onnx.trace.values import Const
from tests.trace.models import MODELS, graph, images, tensors


def detached(structure: str) -> Graph:
    return detach(graph(structure), MODELS[structure].make("meta"))


def text(stored: Graph) -> str:
    return json.dumps(to_json(stored))


@pytest.mark.parametrize("structure", MODELS)
def test_what_is_read_computes_the_same(structure: str) -> None:
    """With the values of the constants in their places."""
    small = MODELS[structure]
    model = small.make()
    stored = detach(graph(structure), model)
    read = from_json(json.loads(text(stored)))
    assert text(read) == text(stored)
    assert [repr(node) for node in read.nodes] == [repr(node) for node in stored.nodes]
    values: dict[str, Tensor] = {}
    named: dict[Const, Const] = {}
    for node, own in zip(graph(structure).nodes, read.nodes, strict=True):
        for const, forgotten in zip(node.consts, own.consts, strict=True):
            name = f"c{len(values)}"
            values[name] = const.value(tensors(model))
            named[forgotten] = Const(name, forgotten.shape)
            assert values[name].shape == forgotten.shape
    whole = read.rewrite(lambda node, _: map_consts(named.__getitem__, node))
    x = images(small.size)
    with torch.no_grad():
        found, wanted = evaluate(whole, values, x), evaluate(graph(structure), tensors(model), x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_constants_keep_a_name() -> None:
    """That of the first parameter in their expression; what is fixed is not trained."""
    found = [
        (const.source, const.trained)
        for node in detached("swin").nodes
        for const in node.consts
        if isinstance(const, Stored) and node.kind == "attention"
    ]
    table = "layers.0.blocks.{}.attn.relative_position_bias_table".format
    mask = ("layers.0.blocks.1.attn_mask", False)
    assert set(found[:3]) == {(table(0), True), (table(1), True), mask}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "expected a list of nodes"),
        ({}, "expected a list of nodes"),
        ([], "expected a list of nodes"),
        ([5], "node 0 is damaged"),
        ([{}], "node 0 is damaged"),
        ([{"kind": "node"}], "node 0 is damaged"),
        ([{"kind": "input", "path": "", "inputs": [], "shape": [1, 3, 8]}], "is not an image"),
        ([{"kind": "input", "path": "", "inputs": [], "shape": [1, 3, 8, -8]}], "node 0 is damag"),
        ([{"kind": "input", "path": "", "inputs": [{"node": 0}], "shape": []}], "node 0 is damag"),
        ([{"kind": "gate", "path": "", "inputs": [], "shape": [1, 1, 1, 1]}], "is not an image"),
    ],
)
def test_no_graphs(data: object, sentence: str) -> None:
    with pytest.raises(PqvError, match=f"^graph: .*{sentence}"):
        from_json(data)


def test_what_is_read_is_written_as_it_was() -> None:
    class Transposed(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mT.transpose(1, 3)

    model = Transposed()
    once = to_json(detach(normalise(record(model, (3, 8, 8))), model))
    assert to_json(from_json(once)) == once


def test_functions_that_are_no_moves() -> None:
    data = json.loads(text(detached("vit")))
    place, entry = next((i, e) for i, e in enumerate(data) if e["kind"] == "move")
    for name in ("backward", "load", "__reduce__", "numpy", "", None, ["reshape"]):
        entry["call"]["call"] = name
        with pytest.raises(PqvError, match=f"^graph: node {place} is damaged"):
            from_json(data)


VALUES: list[Any] = [
    *(None, True, -1, 0, 7, 10**9, 10**30, 0.5, float("nan"), "x", "reshape", [], {}, [1], [[]]),
    *({"node": 0}, {"node": -1}, {"node": "x"}, {"input": 9}, {"batch": "x"}, {"dots": True}),
    *({"slice": [1]}, {"slice": 5}, {"const": "x"}, {"call": "reshape"}),
]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a JSON value."""
    if path:
        yield path
    if isinstance(tree, dict | list):
        for key, part in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from places(part, (*path, key))


def damaged(source: str, rng: random.Random) -> Any:
    """JSON of which one part has another value."""
    data = json.loads(source)
    *path, last = rng.choice(list(places(data)))
    part = data
    for key in path:
        part = part[key]
    part[last] = rng.choice(VALUES)
    return data


@pytest.mark.parametrize("structure", ["vit", "swin", "dinov3_swiglu"])
def test_damage_is_named(structure: str) -> None:
    """Whatever is wrong: a graph is read or refused, nothing else is raised."""
    source, rng, refused = text(detached(structure)), random.Random(0), 0
    for _ in range(150):
        try:
            from_json(damaged(source, rng))
        except PqvError as error:
            assert str(error).startswith("graph: ") and "\n" not in str(error)
            refused += 1
    assert refused > 50
