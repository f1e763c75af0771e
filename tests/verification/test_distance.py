"""How far a QDQ file is from its checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

pytest.importorskip("torch")

from pqv_onnx.errors import PqvError  # noqa: E402
from pqv_onnx.verification.distance import standard_distances  # noqa: E402


def test_every_value_is_compared_and_a_wrong_step_is_seen(
    tiny_checkpoint: dict[str, Path], tiny_qdq: Path, tmp_path: Path
) -> None:
    path, checkpoint = tmp_path / "m.onnx", tiny_checkpoint["w8a8"]
    shutil.copy(tiny_qdq, path)
    found = {each.name: each for each in standard_distances(path, checkpoint)}
    assert found["quantizer"].equal == 1.0 and found["quantizer"].sqnr is None
    assert list(found)[-1] == "logits" and found["logits"].equal is None
    first, later = "blocks.0.norm1.quantizer", "blocks.1.norm1.quantizer"
    assert found[first].equal > 0.5
    assert list(found).index(first) < list(found).index(later)

    broken = onnx.load(path)
    node = next(n for n in broken.graph.node if n.name == f"{first}/QuantizeLinear")
    step = next(t for t in broken.graph.initializer if t.name == node.input[1])
    half = onnx.numpy_helper.to_array(step) / 2
    step.CopyFrom(onnx.numpy_helper.from_array(half, step.name))
    onnx.save(broken, path)
    worse = {each.name: each for each in standard_distances(path, checkpoint)}
    assert worse[first].sqnr < found[first].sqnr - 10
    assert worse["quantizer"] == found["quantizer"]


def test_another_checkpoint_is_refused(tiny_checkpoint: dict[str, Path], tiny_qdq: Path) -> None:
    with pytest.raises(PqvError, match="was not exported from"):
        standard_distances(tiny_qdq, tiny_checkpoint["w4a4"])
