"""Where the time of an inference goes, by op type, from onnxruntime's profiler."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BETWEEN = "(between nodes)"


@dataclass(frozen=True)
class OpTime:
    """Time of all nodes of one op type in one inference.

    Attributes:
        op: op type; ``(between nodes)`` is onnxruntime's own time from node to node, that of
            the profiler included.
        nodes: how many nodes there are.
        ms: median per node over the runs, summed over the nodes, in milliseconds.
        share: of the sum over all entries, in [0, 1].
    """

    op: str
    nodes: int
    ms: float
    share: float


def read_profile(path: str | Path, runs: int) -> list[OpTime]:
    """Read a profile of a session that ran one node after another, and delete it.

    Args:
        path: the file that ``end_profiling`` named.
        runs: how many inferences it holds; the first fifth of them counts as warming up.

    Returns:
        One entry per op type, the longest first, and `BETWEEN` at the end.
    """
    events = json.loads(Path(path).read_text())
    Path(path).unlink()
    return summarize_events(events, runs - runs // 5)


def summarize_events(events: list[dict[str, Any]], kept: int) -> list[OpTime]:
    """Summarise the profiler's events, regarding the last ``kept`` executions of each node."""
    # A median per node, not per inference: an interruption spoils one node of one run.
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    gaps: dict[str, list[float]] = defaultdict(list)
    end = 0.0
    for event in sorted(events, key=lambda event: event.get("ts", 0)):
        if event["name"] == "model_run":
            end = event["ts"]
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        # Nodes without a name share one; their index in the graph tells them apart.
        node = event["name"] + event["args"].get("node_index", "")
        times[event["args"]["op_name"], node].append(event["dur"])
        gaps[node].append(event["ts"] - end)
        end = event["ts"] + event["dur"]
    by_op: dict[str, list[float]] = defaultdict(list)
    for (op, _), found in times.items():
        by_op[op].append(1e-3 * float(np.median(found[-kept:])))
    between = sum(1e-3 * float(np.median(found[-kept:])) for found in gaps.values())
    sums = sorted(((sum(found), op) for op, found in by_op.items()), reverse=True)
    whole = sum(ms for ms, _ in sums) + between
    return [
        OpTime(op, len(by_op.get(op, [])), ms, ms / whole if whole else 0.0)
        for ms, op in [*sums, (between, BETWEEN)]
    ]
