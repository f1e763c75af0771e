from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pqv_onnx.bench.profile import BETWEEN, read_profile


def node(ts: int, dur: int, op: str, name: str) -> dict[str, Any]:
    arguments = {"op_name": op, "node_index": name}
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": ts,
        "dur": dur,
        "args": arguments,
    }


def events_of_a_run(start: int, slow: int = 0) -> list[dict[str, Any]]:
    return [
        {"cat": "Session", "name": "model_run", "ts": start, "dur": 4000 + slow, "args": {}},
        node(start + 100, 1000 + slow, "Add", "a"),
        node(start + 1200 + slow, 500, "MatMul", "b"),
        node(start + 1800 + slow, 1200, "MatMul", "c"),
    ]


def test_time_by_op(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    events: list[dict[str, Any]] = []
    for index in range(5):  # the first is warming up, one of the others is interrupted
        events += events_of_a_run(10_000 * index, slow=5000 if index in (0, 2) else 0)
    path.write_text(json.dumps(events))
    ops = read_profile(path, 5)
    assert [(op.op, op.nodes) for op in ops] == [("MatMul", 2), ("Add", 1), (BETWEEN, 0)]
    assert [op.ms for op in ops] == pytest.approx([1.7, 1.0, 0.3])
    assert sum(op.share for op in ops) == pytest.approx(1.0)
    assert not path.exists()


def test_a_profile_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text("[]")
    (between,) = read_profile(path, 1)
    assert (between.op, between.ms, between.share) == (BETWEEN, 0.0, 0.0)
