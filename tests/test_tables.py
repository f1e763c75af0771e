"""TableReader: what each annotation takes, and the sentence for what it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.tables import TableReader


@dataclass(frozen=True)
class Leaf:
    kind: Literal["oak", "elm"] = "oak"
    size: float = 1.0


@dataclass(frozen=True)
class Tree:
    name: str
    rings: int = 1
    green: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    birds: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    height: float | None = None
    leaf: Leaf = Leaf()
    age: complex = 0j


READER = TableReader("wood: ", parsers={complex: lambda text: complex(text)})


def test_every_kind_of_value() -> None:
    table = {
        **{"name": "a", "rings": 3, "green": False, "range": [1, 2.5], "birds": ["tit"]},
        **{"counts": {"x": 4}, "height": 2, "leaf": {"kind": "elm"}, "age": "1+2j"},
    }
    found = READER.read(Tree, table)
    assert found == Tree(
        "a", 3, False, (1.0, 2.5), ("tit",), {"x": 4}, 2.0, Leaf("elm", 1.0), 1 + 2j
    )
    assert [type(value) for value in (*found.range, found.height)] == [float] * 3
    assert READER.read(Tree, {"name": "a", "height": None}) == Tree("a")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rings": 1.0}, "rings is 1.0, expected a whole number"),
        ({"rings": True}, "rings is True, expected a whole number"),
        ({"green": 1}, "green is 1, expected true or false"),
        ({"name": None}, "name is None, expected a string"),
        ({"name": math.inf}, "name is inf, expected a string"),
        ({"height": "tall"}, "height is 'tall', expected a number"),
        ({"height": True}, "height is True, expected a number"),
        ({"height": math.inf}, "height is inf, expected a finite number"),
        ({"height": 10**309}, f"height is {10**309}, expected a finite number"),
        ({"range": [1]}, "range is [1], expected a list of 2 values, each a number"),
        ({"range": [1, "2"]}, "range[1] is '2', expected a number"),
        ({"birds": "tit"}, "birds is 'tit', expected a list of values, each a string"),
        ({"counts": [1]}, "counts is [1], expected a table"),
        ({"counts": {"x": "1"}}, "counts.x is '1', expected a whole number"),
        ({"leaf": 5}, "leaf is 5, expected a table of kind, size"),
        ({"leaf": {"kind": "fir"}}, "leaf.kind is 'fir', expected oak or elm"),
        ({"leaf": {"size": []}}, "leaf.size is [], expected a number"),
        ({"leaf": {"colour": 1}}, "unknown key leaf.colour, expected one of kind, size"),
        ({"leaf": {"a\nb": 1}}, r"unknown key leaf.a\nb, expected one of kind, size"),
        ({"leaf": {1: 1}}, "unknown key leaf.1, expected one of kind, size"),
    ],
)
def test_wrong_values_and_keys(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PqvError) as caught:
        READER.read(Tree, {"name": "a"} | changes)
    assert str(caught.value) == f"wood: {sentence}"


def test_a_number_that_is_not_known() -> None:
    assert math.isnan(READER.read(Leaf, {"size": math.nan}).size)


def test_what_may_be_missing() -> None:
    with pytest.raises(PqvError, match="^wood: found no key name$"):
        READER.read(Tree, {})
    strict = TableReader(optional=("size",))
    assert strict.read(Leaf, {"kind": "elm"}) == Leaf("elm")
    with pytest.raises(PqvError, match="^found no key kind$"):
        strict.read(Leaf, {"size": 1.0})


def test_no_table_at_all() -> None:
    with pytest.raises(PqvError, match=r"^wood: found \[\], expected a table of kind, size$"):
        READER.read(Leaf, [])
