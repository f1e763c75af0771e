from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from pqv_onnx.bench.session import TimedSession
from pqv_onnx.errors import PqvError


def identity(path: Path, elem_type: int, shape: list[int | str]) -> Path:
    values = [helper.make_tensor_value_info(name, elem_type, shape) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "identity", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("use_library", [True, False])
def test_time_and_profile(use_library: bool, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    prefix = str(tmp_path / "profile")
    session = TimedSession(
        tiny_onnx["w4a4"], batch=2, use_library=use_library, profile_prefix=prefix
    )
    assert session.created > 0
    assert len(session.time(3)) == 3
    ops = {op.op: op.nodes for op in session.profile(5)}
    assert ("PackedInt4MatMul" in ops) == use_library
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "elem_type", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64, TensorProto.FLOAT16]
)
def test_inputs_are_made_up(elem_type: int, tmp_path: Path) -> None:
    path = identity(tmp_path / "m.onnx", elem_type, ["batch", 3])
    assert len(TimedSession(path, batch=4, use_library=False).time(1)) == 1


@pytest.mark.parametrize(
    ("elem_type", "shape", "words"),
    [
        (TensorProto.STRING, [1, 2], "input x is tensor(string)"),
        (TensorProto.FLOAT, ["n", "m"], "only the first dimension may be open"),
        (TensorProto.FLOAT, [5, 2], "a fixed batch of 5, not 1"),
    ],
)
def test_inputs_that_cannot_be_made_up(
    elem_type: int, shape: list[int | str], words: str, tmp_path: Path
) -> None:
    path = identity(tmp_path / "m.onnx", elem_type, shape)
    with pytest.raises(PqvError) as caught:
        TimedSession(path, use_library=False)
    assert words in str(caught.value) and str(path) in str(caught.value)
