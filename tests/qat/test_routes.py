"""What writes to a residual stream and reads it, and where heads lie in the layers around them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pqv_onnx.qat import QuantModel, convert_to_qat
from pqv_onnx.qat.routes import Routes, Stream
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model
from tests.trace.models import MODELS

PLAIN = QuantSpec.preset("w8a8").with_schemes({"residual": "power-of-two", "qkv": "per-tensor"})


def routed(model: nn.Module) -> tuple[QuantModel, Routes, dict[nn.Module, str]]:
    quantized = convert_to_qat(model, PLAIN)
    names = {module: name for name, module in quantized.named_modules()}
    return quantized, Routes(quantized.config.backbone.graph, quantized.handlers), names


def described(stream: Stream, names: dict[nn.Module, str]) -> dict[str, list[str]]:
    return {
        "constants": [names[constant] for constant in stream.constants],
        "writers": [names[linear] for linear, _ in stream.writers],
        "scales": [names[scale] for _, scales in stream.writers for scale in scales],
        "readers": [names[norm] for norm, _ in stream.readers],
        "behind": [names[linear] for _, linears in stream.readers for linear in linears],
    }


def blocks(path: str, count: int = 2) -> dict[str, list[str]]:
    paths = [f"{path}.{index}" for index in range(count)]
    return {
        "writers": [f"{p}.{name}" for p in paths for name in ("attn.proj", "mlp.fc2")],
        "readers": [f"{p}.{name}" for p in paths for name in ("norm1", "norm2")],
        "behind": [f"{p}.{name}" for p in paths for name in ("attn.qkv", "mlp.fc1")],
    }


@pytest.mark.parametrize(
    ("variant", "constants", "last"),
    [
        ("token", ["cls_token", "pos_embed"], "norm"),
        ("distilled", ["cls_token", "dist_token", "pos_embed"], "norm"),
        ("registers", ["cls_token", "reg_token", "pos_embed"], "norm"),
        ("average", ["cls_token", "pos_embed"], "fc_norm"),
        ("average_after_norm", ["cls_token", "pos_embed"], "norm"),
    ],
)
def test_the_stream_of_a_vit(variant: str, constants: list[str], last: str) -> None:
    _, routes, names = routed(float_model(variant))
    (stream,) = routes.streams()
    found, inside = described(stream, names), blocks("blocks")
    assert stream.channels == 32
    assert found["constants"] == constants
    assert sorted(found["writers"]) == sorted(["patch_embed.proj", *inside["writers"]])
    assert sorted(found["readers"]) == sorted([*inside["readers"], last])
    assert sorted(found["behind"]) == sorted([*inside["behind"], "head"])
    scales = [f"blocks.{index}.ls{i}.gamma" for index in (0, 1) for i in (1, 2)]
    assert found["scales"] == (scales if variant == "registers" else [])


def test_a_head_may_read_the_stream_itself() -> None:
    """But what is moved must not be a result: it would stay rotated."""
    model = float_model("token")
    model.norm = nn.Identity()
    _, routes, names = routed(model)
    (stream,) = routes.streams()
    assert {None: "head"}.items() <= {
        norm: names[linears[0]] for norm, linears in stream.readers
    }.items()
    quantized = convert_to_qat(model, PLAIN, task="embedding")
    assert list(Routes(quantized.config.backbone.graph, quantized.handlers).streams()) == []


def test_the_streams_of_a_swin() -> None:
    """The first begins with a LayerNorm, which a rotation does not pass."""
    _, routes, names = routed(
        float_model("swin", img_size=(32, 24), depths=(2, 2, 1), num_heads=(2, 4, 4))
    )
    second, third = routes.streams()
    assert (second.channels, third.channels) == (64, 128)
    found, inside = described(second, names), blocks("layers.1.blocks")
    reduction = "layers.{}.downsample.{}".format
    assert found["writers"] == [reduction(1, "reduction"), *inside["writers"]]
    assert sorted(found["readers"]) == sorted([*inside["readers"], reduction(2, "norm")])
    assert reduction(2, "reduction") in found["behind"] and not found["constants"]
    assert "head.fc" in described(third, names)["behind"]


def test_streams_that_are_read_otherwise_are_left() -> None:
    """By layers without a norm, or as what a norm writes."""
    for changes in ({"pre_norm": True}, {"pos_embed": "none", "pre_norm": True}):
        _, routes, _ = routed(float_model(**changes))
        assert list(routes.streams()) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_heads(variant: str) -> None:
    """timm's: queries, keys and values one behind the other, each head by head."""
    model, routes, names = routed(float_model(variant))
    found = list(routes.heads())
    assert len(found) == sum(name.endswith("attn.qkv") for name in names.values())
    for heads in found:
        path = names[heads.query[0]].removesuffix(".qkv")
        count = 4 if path.startswith("layers.1") else 2
        channels = model.get_submodule(f"{path}.qkv").weight.shape[1]
        assert isinstance(channels, int) and heads.width == channels // count
        rows = torch.arange(3 * channels).reshape(3, count, heads.width)
        for (linear, places), own in zip((heads.query, heads.key, heads.value), rows, strict=True):
            assert names[linear] == f"{path}.qkv"
            assert torch.equal(places, own)
        assert names[heads.output[0]] == f"{path}.proj"
        assert torch.equal(heads.output[1], rows[0])


@pytest.mark.parametrize("structure", ["eva02", "dinov3", "rope_mixed", "swinv2"])
def test_queries_and_keys_that_are_turned_or_normalised_are_not_plain(structure: str) -> None:
    """What of their heads is known are the channels."""
    small = MODELS[structure]
    model = convert_to_qat(small.make(), PLAIN, size=small.size)
    found = list(Routes(model.config.backbone.graph, model.handlers).heads())
    assert found and all(heads.apart and not heads.plain for heads in found)


def test_heads_that_are_normalised_are_left() -> None:
    """Behind a norm values are no layer's outputs, in front of one no layer's inputs."""
    _, routes, _ = routed(float_model(scale_attn_norm=True))
    assert list(routes.heads()) == []
