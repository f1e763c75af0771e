from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from pqv_onnx.checkpoint import load_qat, save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import export_onnx, inspect_model
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.runtime.info import library_info
from pqv_onnx.verification import verify_model
from pqv_onnx.verification.compare import describe_difference, first_difference
from tests.qat.models import MIXTURES, qat_model

PRECISIONS = ("w8a8", "w4a4")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_way_gives_the_same_bits(
    precision: str, tiny_onnx: dict[str, Path], tiny_checkpoint: dict[str, Path]
) -> None:
    report = verify_model(tiny_onnx[precision], checkpoint=tiny_checkpoint[precision])
    assert report.bit_exact and report.float_nodes == []
    candidates = {comparison.candidate for comparison in report.comparisons}
    assert "functions" in candidates
    for isa in library_info()["available"]:
        assert f"library {isa}, 1 thread" in candidates
    assert {comparison.reference for comparison in report.comparisons} == {"torch oracle"}
    pqv_nodes = 16  # patch_embed, 2 x 7 in the blocks, head
    assert all(comparison.compared >= pqv_nodes for comparison in report.comparisons)


@pytest.mark.parametrize(("precision", "schemes"), MIXTURES)
def test_every_mixture_of_schemes_gives_the_same_bits(
    precision: str, schemes: Mapping[str, str], tmp_path: Path
) -> None:
    model = qat_model(precision=precision, schemes=schemes)
    path, checkpoint = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    save_qat(checkpoint, model)
    export_onnx(convert_to_integer(model), path)
    assert verify_model(path, checkpoint=checkpoint).bit_exact
    summary = inspect_model(path)
    assert summary["float_nodes"] == []
    assert summary["metadata"]["pqv.precision"] == model.config.spec.name


@pytest.mark.parametrize(
    ("variant", "precision", "weight_bits"),
    [
        ("token", "w8a8", {"blocks.*": 4, "blocks.1.attn.qkv": 8}),
        ("token", "w4a4", {"blocks.0.mlp.fc2": 8, "*.attn.proj": 8}),
        ("swin", "w8a8", {"layers.1.downsample.reduction": 4, "layers.0.blocks.1.*": 4}),
    ],
)
def test_layers_of_other_bits_give_the_same_bits(
    variant: str, precision: str, weight_bits: Mapping[str, int], tmp_path: Path
) -> None:
    model = qat_model(variant, precision, weight_bits=weight_bits)
    path, checkpoint = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    save_qat(checkpoint, model)
    export_onnx(convert_to_integer(model), path)
    assert verify_model(path, checkpoint=checkpoint, batches=(2,)).bit_exact
    found = inspect_model(path)["weight_bits"]
    expected = {name: layer.quantizer.bits for name, layer in model.block_layers().items()}
    assert set(expected.values()) == {4, 8}
    assert {name: found[name] for name in expected} == expected


def test_the_first_node_that_differs_is_named(
    tiny_onnx: dict[str, Path], tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    """A bias edited in the file: the oracle of the checkpoint disagrees from there on."""
    model = onnx.load(tiny_onnx["w4a4"])
    node = next(n for n in model.graph.node if n.name == "blocks.1.attn.qkv")
    tensor = next(t for t in model.graph.initializer if t.name == node.input[2])
    # Under a name of its own: equal constants of several nodes are one tensor in the file.
    node.input[2] = "edited"
    edited = numpy_helper.to_array(tensor) + np.int32(1000)
    model.graph.initializer.append(numpy_helper.from_array(edited, "edited"))
    onnx.save(model, tmp_path / "edited.onnx")
    report = verify_model(tmp_path / "edited.onnx", checkpoint=tiny_checkpoint["w4a4"])
    assert not report.bit_exact
    for comparison in report.comparisons:
        assert comparison.difference is not None
        assert comparison.difference.node == "blocks.1.attn.qkv"


def test_images_that_do_not_fit_are_refused(tiny_onnx: dict[str, Path]) -> None:
    with pytest.raises(PqvError, match=r"float64\[3, 3, 16, 16\].*float32\[batch, 3, 16, 16\]"):
        verify_model(tiny_onnx["w8a8"], images=np.zeros((3, 3, 16, 16)))
    with pytest.raises(PqvError, match="2 images were given, 3 are needed"):
        verify_model(tiny_onnx["w8a8"], images=np.zeros((2, 3, 16, 16), np.float32))


def test_a_checkpoint_of_another_precision_is_refused(
    tiny_onnx: dict[str, Path], tiny_checkpoint: dict[str, Path]
) -> None:
    with pytest.raises(PqvError, match="is w4a4, the model was exported from w8a8"):
        verify_model(tiny_onnx["w8a8"], checkpoint=tiny_checkpoint["w4a4"])


def test_a_checkpoint_of_other_weights_is_refused(
    tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    """The file is none the worse for it."""
    model = load_qat(tiny_checkpoint["w8a8"])
    export_onnx(convert_to_integer(model), tmp_path / "m.onnx")
    with torch.no_grad():
        model.head.bias.add_(1)
    save_qat(tmp_path / "other.safetensors", model)
    with pytest.raises(PqvError, match="the model was not exported from .*other.safetensors"):
        verify_model(tmp_path / "m.onnx", checkpoint=tmp_path / "other.safetensors")


def test_differences_are_of_bits_not_of_values() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    assert describe_difference(nan, nan.copy()) is None
    zero = np.array([0.0], np.float32)
    assert describe_difference(zero, -zero) is not None
    assert "int8[2] expected, int32[2] found" in str(
        describe_difference(np.zeros(2, np.int8), np.zeros(2, np.int32))
    )


def test_values_are_compared_in_the_graphs_order() -> None:
    nodes = [("a", "A", "va"), ("b", "B", "vb"), ("c", "C", "vc")]
    expected = {name: np.zeros(2, np.int32) for name in ("va", "vb", "vc")}
    found = {**expected, "vc": np.ones(2, np.int32), "vb": np.array([0, 7], np.int32)}
    compared, difference = first_difference(nodes, expected, found)
    assert compared == 2
    assert str(difference) == "b (B): 1 of 2 values differ, first at [1]: 0 expected, 7 found"
