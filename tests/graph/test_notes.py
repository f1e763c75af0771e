"""What viewers show of an exported file, and that it is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import pqv_onnx
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.graph.export import About
from pqv_onnx.graph.notes import write_noise
from pqv_onnx.graph.summary import value_types
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.ops.domain import DOMAIN
from pqv_onnx.verification.runners import all_runners, expose_values
from tests.conftest import PRECISIONS

Notes = dict[str, dict[str, str]]


def notes_of(model: onnx.ModelProto) -> Notes:
    return {
        note.tensor_name: {e.key: e.value for e in note.quant_parameter_tensor_names}
        for note in model.graph.quantization_annotation
    }


def dequantized(codes: np.ndarray, note: dict[str, str]) -> np.ndarray:
    exponents = np.array([int(digit) for digit in note.get("exponents", "0")])
    zero_points = np.zeros(codes.shape[-1], np.int64)
    for run in note["zero_point"].split(",\n"):
        value, _, channels = run.partition(" ")
        begin, _, end = channels.strip("[]").partition(":")
        zero_points[int(begin or 0) : int(end or codes.shape[-1])] = int(value)
    integers = codes.astype(np.int64) - zero_points
    return integers * float(note["scale"]) * 2.0**exponents


@pytest.mark.parametrize("precision", PRECISIONS)
def test_integers_are_worth_what_the_annotations_say(
    precision: str, tiny_qat: dict[str, Any], tiny_onnx: dict[str, Path]
) -> None:
    model = onnx.load(tiny_onnx[precision])
    notes = notes_of(model)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    runner = all_runners()[0]
    found = runner.run(runner.session(expose_values(model)), images.numpy())
    qat = tiny_qat[precision].eval()
    real: dict[str, np.ndarray] = {}
    x = images
    with torch.no_grad():
        for segment, name in zip(
            qat.segments(),
            ["residual", *(f"blocks.{i}.residual{j}" for i in (0, 1) for j in (1, 2)), "logits"],
            strict=True,
        ):
            x = segment(x)
            real[name] = x.numpy()
    assert np.array_equal(real.pop("logits"), found["logits"])
    for name, expected in real.items():
        np.testing.assert_allclose(dequantized(found[name], notes[name]), expected, rtol=1e-5)
    # Zero is a code of its own behind the GELU, and little is below. It is over a group's ratio.
    activated = dequantized(found["blocks.0.mlp.act"], notes["blocks.0.mlp.act"])
    act = qat.get_submodule("blocks.0.mlp.act")
    activated = activated * act.quantizer.by_channel(act.ratio).numpy()
    assert -0.3 < activated.min() <= 0 < activated.max() and (activated == 0).any()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_integer_value_between_the_borders_is_annotated(
    precision: str, tiny_onnx: dict[str, Path]
) -> None:
    model = onnx.load(tiny_onnx[precision])
    types, notes = value_types(model), notes_of(model)
    for node in model.graph.node:
        (value,) = node.output
        if types[value].elem_type == onnx.TensorProto.INT8 and value != "residual/Expand":
            assert {"bits", "scale", "zero_point"} <= set(notes[value]), value
    constants = {tensor.name for tensor in model.graph.initializer}
    tensors = [note[key] for note in notes.values() for key in note if key.endswith("_TENSOR")]
    assert len(tensors) == 3 and set(tensors) <= constants
    assert notes["blocks.0.norm1"]["bits"] == {"w8a8": "8", "w4a4": "4"}[precision]
    spans = notes["blocks.0.attn.qkv"]["scale"].split(",\n")
    assert [span.partition(" ")[2] for span in spans] == ["[0:36]", "[36:72]", "[72:108]"]


def test_nodes_say_what_they_do(tiny_onnx: dict[str, Path]) -> None:
    model = onnx.load(tiny_onnx["w4a4"])
    docs = {node.name: node.doc_string for node in model.graph.node if node.domain == DOMAIN}
    for text in docs.values():
        assert text[0].isupper() and text.endswith(".") and text.count(". ") == 0
    step = float(notes_of(model)["blocks.0.norm1"]["scale"])
    assert f";\nA 4-bit of step {step:.3g},\nB 4-bit of step " in docs["blocks.0.attn.qkv"]
    assert docs["blocks.0.attn.qkv"].endswith("66,096 MACs per image.")
    assert "Y 4-bit" in docs["blocks.0.attn.attention"]
    assert docs["norm"].startswith("LayerNorm") and "X 8-bit" in docs["norm"]


def test_residual_streams_have_names_of_their_own(tiny_onnx: dict[str, Path]) -> None:
    nodes = {node.name: node for node in onnx.load(tiny_onnx["w8a8"]).graph.node}
    stream = ["residual", *(f"blocks.{i}.residual{j}" for i in (0, 1) for j in (1, 2))]
    layers = [f"blocks.{i}.{name}" for i in (0, 1) for name in ("attn.proj", "mlp.fc2")]
    for layer, before, after in zip(layers, stream, stream[1:], strict=False):
        assert nodes[layer].input[5] == before
        assert list(nodes[layer].output) == [after]


def test_noise_is_added_where_a_part_ends(tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_onnx["w4a4"].read_bytes())
    write_noise(path, {"blocks.0.attn": 21.25, "head": 17.0, "blocks.1.mlp": None})
    docs = {node.name: node.doc_string for node in onnx.load(path).graph.node}
    assert docs["blocks.0.attn.proj"].endswith("per image,\n21.2 dB SQNR behind it.")
    assert docs["head"].endswith("per image,\n17.0 dB SQNR behind it.")
    assert sum("SQNR" in text for text in docs.values()) == 2
    images = np.ones((1, 3, 16, 16), np.float32)
    sessions = [pqv_onnx.InferenceSession(each) for each in (path, tiny_onnx["w4a4"])]
    assert np.array_equal(*(session.run(None, {"images": images})[0] for session in sessions))


def test_the_file_says_whose_it_is(
    tiny_qat: dict[str, Any], tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx["w8a8"])
    expected = "VisionTransformer in integers (w8a8): logits of images of 16 x 16 pixels."
    assert model.doc_string == expected
    assert not {"author", "license"} & {entry.key for entry in model.metadata_props}
    path = tmp_path / "m.onnx"
    about = About("Ada", "apache-2.0", "Digits.")
    export_onnx(convert_to_integer(tiny_qat["w8a8"]), path, about=about)
    entries = inspect_model(path)["metadata"]
    assert (entries["author"], entries["license"]) == ("Ada", "apache-2.0")
    assert onnx.load(path).doc_string == "Digits."
