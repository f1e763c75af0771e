"""QuantSpec: presets, round trip, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.spec import PRESETS, QuantSpec, TensorSpec


def test_presets() -> None:
    w4a4, w8a8 = QuantSpec.preset("w4a4"), QuantSpec.preset("w8a8")
    assert (w4a4.name, w8a8.name) == ("w4a4", "w8a8")
    for kind in ("weight", "norm", "qkv", "attention", "context", "gelu"):
        assert getattr(w4a4, kind).bits == 4
        assert getattr(w8a8, kind).bits == 8
    for kind in ("image", "patch_weight", "residual", "pre_gelu", "final_norm", "head_weight"):
        assert getattr(w4a4, kind) == getattr(w8a8, kind)
        assert getattr(w4a4, kind).bits == 8
    assert w4a4.attention == TensorSpec(4, "log2")
    assert w8a8.attention == TensorSpec(8, "uniform")


def test_w7a7_differs_from_w8a8_in_the_matmuls_inside_of_blocks() -> None:
    w7a7, w8a8 = QuantSpec.preset("w7a7"), QuantSpec.preset("w8a8")
    assert w7a7 == replace(
        w8a8.with_schemes({"norm": "7", "context": "7", "gelu": "7"}),
        weight=TensorSpec(7, "per-channel"),
    )
    assert (w7a7.base, w7a7.name) == ("w7a7", "w7a7")
    w4a7 = QuantSpec.preset("w4a8").with_schemes({"norm": "7", "context": "7", "gelu": "7"})
    assert QuantSpec.from_dict(w4a7.to_dict()) == w4a7


def test_w4a8_differs_from_w8a8_in_its_weights_alone() -> None:
    w4a8, w8a8 = QuantSpec.preset("w4a8"), QuantSpec.preset("w8a8")
    assert w4a8 == replace(w8a8, weight=TensorSpec(4, "per-channel"))
    assert (w4a8.base, w4a8.name) == ("w4a8", "w4a8")
    mixed = replace(w4a8, weight_bits={"blocks.0.mlp.fc2": 8, "blocks.1.mlp.fc2": 8})
    assert mixed.name == "w4a8, 8-bit weights in 2 layers"
    assert w4a8.with_schemes({"attention": "log2"}).name == "w4a8, attention 4 bits log2"


def test_without_rotations() -> None:
    preset = QuantSpec.preset("w4a4")
    found = preset.unrotated()
    assert (found.residual.scheme, found.qkv.scheme) == ("power-of-two", "per-tensor")
    assert found.with_schemes({"residual": "rotated", "qkv": "rotated"}) == preset
    per_tensor = preset.with_schemes({"residual": "per-tensor"})
    assert per_tensor.unrotated().residual.scheme == "per-tensor"


def test_other_bits() -> None:
    w4a4 = QuantSpec.preset("w4a4")
    changed = w4a4.with_schemes({"gelu": "8", "attention": "8", "context": "4"})
    assert changed.name == "w4a4, attention 8 bits uniform, gelu 8 bits grouped"
    symmetric = w4a4.with_schemes({"gelu": "symmetric"}).with_schemes({"gelu": "8"})
    assert symmetric.gelu == TensorSpec(8, "symmetric")
    with pytest.raises(
        PqvError,
        match="scheme of gelu is '6', expected grouped or .*, or bits, 4 or 7 or 8",
    ):
        w4a4.with_schemes({"gelu": "6"})


def test_other_schemes() -> None:
    w4a4, w8a8 = QuantSpec.preset("w4a4"), QuantSpec.preset("w8a8")
    plain = {"attention": "uniform", "gelu": "symmetric", "residual": "per-tensor"}
    changed = w4a4.with_schemes(plain)
    assert changed.attention == TensorSpec(8, "uniform")
    assert changed.gelu == TensorSpec(4, "symmetric")
    assert changed.residual == TensorSpec(8, "per-tensor")
    assert changed.base == "w4a4"
    assert changed.name == (
        "w4a4, residual 8 bits per-tensor, attention 8 bits uniform, gelu 4 bits symmetric"
    )
    assert w8a8.with_schemes(plain).gelu == TensorSpec(8, "symmetric")
    assert w8a8.with_schemes({"attention": "log2"}).name == "w8a8, attention 4 bits log2"
    assert w4a4.with_schemes({"attention": "log2", "gelu": "grouped"}) == w4a4
    with pytest.raises(
        PqvError, match="scheme of gelu is 'flat', expected grouped or asymmetric or symmetric"
    ):
        w4a4.with_schemes({"gelu": "flat"})
    with pytest.raises(PqvError, match="unknown kind of tensor 'gello'"):
        w4a4.with_schemes({"gello": "symmetric"})


@pytest.mark.parametrize("precision", PRESETS)
def test_json_round_trip(precision: str) -> None:
    spec = QuantSpec.preset(precision)
    assert QuantSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_unknown_preset() -> None:
    with pytest.raises(
        PqvError, match="unknown precision 'w3a3', expected w8a8 or w7a7 or w4a8 or w4a4"
    ):
        QuantSpec.preset("w3a3")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("weight", {"bits": 3, "scheme": "per-channel"}, "weight is .*bits=3.* expected 4 bits"),
        ("weight", {"bits": 4, "scheme": "per-tensor"}, "weight is .*expected 4 bits per-channel"),
        ("attention", {"bits": 8, "scheme": "log2"}, "attention is .*expected 4 bits log2 or 8"),
        ("residual", {"bits": 4, "scheme": "power-of-two"}, "residual is"),
        ("gelu", {"bits": "4", "scheme": "asymmetric"}, "gelu.bits is '4', expected a whole num"),
        ("gelu", {"bits": True, "scheme": "asymmetric"}, "bits is True, expected a whole number"),
        ("gelu", {"bits": 4, "scheme": 4}, "gelu.scheme is 4, expected a string"),
        ("gelu", {"bits": 4}, "found no key gelu.scheme"),
        ("gelu", 4, "gelu is 4, expected a table of bits, scheme"),
        ("colour", {"bits": 4, "scheme": "asymmetric"}, "unknown key colour, expected one of im"),
    ],
)
def test_refusals(field: str, value: Any, sentence: str) -> None:
    data = QuantSpec.preset("w4a4").to_dict() | {field: value}
    with pytest.raises(PqvError, match=f"^quantization spec: .*{sentence}"):
        QuantSpec.from_dict(data)


def test_weight_bits_of_layers() -> None:
    names = [f"blocks.{index}.{layer}" for index in range(2) for layer in ("attn.qkv", "mlp.fc1")]
    wanted = {"blocks.*": 8, "blocks.1.mlp.fc1": 4, "blocks.0.attn.*": 4}
    spec = replace(QuantSpec.preset("w4a4"), weight_bits=wanted).for_layers(names)
    assert spec.weight_bits == {"blocks.0.mlp.fc1": 8, "blocks.1.attn.qkv": 8}
    assert spec.name == "w4a4, 8-bit weights in 2 layers"
    assert spec.base == "w4a4"
    assert QuantSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert replace(spec, weight_bits={"*": 4}).for_layers(names) == QuantSpec.preset("w4a4")


@pytest.mark.parametrize(
    ("weight_bits", "sentence"),
    [
        ({"blocks.0": 6}, "weight_bits of blocks.0 is 6, not 4 or 7 or 8"),
        ({"blocks.0": True}, "weight_bits.blocks.0 is True, expected a whole number"),
        (["blocks.0"], r"weight_bits is \['blocks.0'\], expected a table"),
    ],
)
def test_wrong_weight_bits(weight_bits: Any, sentence: str) -> None:
    data = QuantSpec.preset("w4a4").to_dict() | {"weight_bits": weight_bits}
    with pytest.raises(PqvError, match=sentence):
        QuantSpec.from_dict(data)


def test_weight_bits_of_a_layer_that_is_not_there() -> None:
    spec = replace(QuantSpec.preset("w4a4"), weight_bits={"blocks.7.*": 8})
    with pytest.raises(PqvError, match=r"for blocks.7.\*, the model has no such layer; .* a, b"):
        spec.for_layers(["a", "b"])


def test_missing_field() -> None:
    data = QuantSpec.preset("w4a4").to_dict()
    del data["gelu"]
    with pytest.raises(PqvError, match="quantization spec: found no key gelu"):
        QuantSpec.from_dict(data)
    with pytest.raises(PqvError, match=r"found \[\], expected a table of image, patch_weight, "):
        QuantSpec.from_dict([])  # type: ignore[arg-type]
