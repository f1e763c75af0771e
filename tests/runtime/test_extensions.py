"""Our ops beside those of onnxruntime-extensions, in one graph and one session."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

import pqv_onnx

extensions = pytest.importorskip("onnxruntime_extensions")
DOMAIN = "com.microsoft.extensions"


def with_decoder(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a PNG file's bytes as its input."""
    steps = [
        helper.make_node("DecodeImage", ["file"], ["bgr"], domain=DOMAIN),
        helper.make_node("Cast", ["bgr"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[2, 0, 1]),
        helper.make_node("Unsqueeze", ["planes", "axis"], ["images"]),
    ]
    graph = model.graph
    nodes = [*steps, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("file", TensorProto.UINT8, ["bytes"]))
    graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [1], [0]))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


def test_a_decoder_of_onnxruntime_extensions_before_our_ops(tiny_onnx: dict[str, Path]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    images = rgb[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    (expected,) = pqv_onnx.InferenceSession(tiny_onnx["w4a4"]).run(None, {"images": images})

    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(extensions.get_library_path())
    model = with_decoder(onnx.load(tiny_onnx["w4a4"]))
    session = pqv_onnx.InferenceSession(model.SerializeToString(), options)
    (logits,) = session.run(None, {"file": np.frombuffer(file.getvalue(), np.uint8)})
    assert np.array_equal(logits, expected)
