"""The best classes as outputs of an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.graph.classes import GiveClasses
from pqv_onnx.graph.export import IR_VERSION
from pqv_onnx.graph.translate import OPSET
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.runtime.labels import best_classes
from pqv_onnx.train.evaluate import onnx_subject
from pqv_onnx.verification import verify_model


def back(classes: int, count: int) -> pqv_onnx.InferenceSession:
    """The back end of a model, alone."""
    given = ir.val("given", ir.DataType.FLOAT, ("batch", classes))
    logits = ir.val("logits", ir.DataType.FLOAT, ("batch", classes))
    tape = ir.tape.Tape()
    tape.op("Identity", [given], output=logits)
    graph = ir.Graph([given], [logits], nodes=tape.nodes, opset_imports={"": OPSET}, name="back")
    model = GiveClasses(count)(ir.Model(graph, ir_version=IR_VERSION)).model
    return pqv_onnx.InferenceSession(ir.to_proto(model).SerializeToString(), use_library=False)


def test_the_classes_are_those_that_run_shows() -> None:
    given = np.random.default_rng(0).normal(0, 3, (4, 9)).astype(np.float32)
    given[0, 3] = given[0, 7] = 9  # the lower class first
    given[1, :] = [100, 0, 1, 2, 3, 4, 5, 6, 7]  # shares of 0 but for one
    _, probabilities, classes = back(9, 5).run(None, {"given": given})
    assert classes.dtype == np.int64 and probabilities.dtype == np.float32
    for row, shares, found in zip(given, probabilities, classes, strict=True):
        best = best_classes(row, 5)
        assert [entry["class"] for entry in best] == found.tolist()
        np.testing.assert_allclose([entry["probability"] for entry in best], shares, atol=1e-6)


def test_an_exported_file_gives_classes(tiny_qat: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    integer = convert_to_integer(tiny_qat["w8a8"])
    export_onnx(integer, path, input="image", top_k=2)
    session = pqv_onnx.InferenceSession(path)
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {"logits": [1, 5], "probabilities": [1, 2], "classes": [1, 2]}
    assert inspect_model(path)["float_nodes"] == []
    assert verify_model(path).bit_exact
    assert onnx_subject(path, use_library=True).classes == 5
    for count, words in ((0, "top_k is 0"), (6, "the best 6 classes were asked for")):
        with pytest.raises(PqvError, match=words):
            export_onnx(integer, path, top_k=count)
