"""Which layers narrow for whom, and in which steps and order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer.matmuls import MatMuls
from pqv_onnx.ops import fixed_point
from pqv_onnx.qat import QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.exact import array
from pqv_onnx.qat.quantizers import Quantizer
from pqv_onnx.spec import QuantSpec
from pqv_onnx.trace.nodes import Add, Linear
from tests.qat.models import images, qat_model


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    """As conversion."""
    with torch.no_grad():
        yield


def matmuls(model: QuantModel) -> tuple[MatMuls, Mapping[str, Linear]]:
    """Of a model; and its linear layers by their paths."""
    graph = model.config.backbone.graph
    linears = {node.path: node for node in graph.nodes if isinstance(node, Linear)}
    return MatMuls(model, set()), linears


def step(model: QuantModel, name: str) -> torch.Tensor:
    quantizer = model.get_submodule(name)
    assert isinstance(quantizer, Quantizer)
    return quantizer.step.detach()


@pytest.mark.parametrize("variant", ["token", "distilled", "registers", "average", "swin"])
def test_what_is_added_to_a_residual_is_fused(variant: str) -> None:
    made, linears = matmuls(qat_model(variant))
    fused = {path for path, linear in linears.items() if made.is_fused(linear)}
    wanted = {path for path in linears if path.endswith(("attn.proj", "mlp.fc2"))}
    assert fused == wanted | (set() if variant == "swin" else {"patch_embed.proj"})
    assert made.heads == {linears["head.fc" if variant == "swin" else "head"]}


def test_queries_keys_and_values_have_a_step_each() -> None:
    model = qat_model()
    made, linears = matmuls(model)
    path = "blocks.0.attn"
    qkv = model.get_submodule(f"{path}.qkv")
    source = model.handlers[linears[f"{path}.qkv"]].source.step
    steps = torch.stack([step(model, f"{path}.{name}_quantizer") for name in "qkv"])
    wanted = fixed_point.requantizer(array(qkv.unit(source) / steps.repeat_interleave(32)))
    found = made.narrowing(linears[f"{path}.qkv"])
    assert np.array_equal(found.shift.numpy(), wanted[0])
    assert np.array_equal(found.multiplier.numpy(), wanted[1])
    assert (found.op.weight_bits, found.attributes["y_bits"]) == (4, 4)


def test_zero_points_are_in_the_bias() -> None:
    """Of the GELU's input, and of its output in the layer that reads it."""
    shifted, plain = (
        qat_model(schemes={"gelu": scheme, "pre_gelu": pre})
        for scheme, pre in (("asymmetric", "asymmetric"), ("symmetric", "per-tensor"))
    )
    act = shifted.get_submodule("blocks.0.mlp.act")
    # Chosen, as a calibrated step may lie so that zero is stored as zero.
    act.input_quantizer.set_step(torch.tensor(0.05))
    made, linears = matmuls(shifted)
    handler = shifted.handlers[linears["blocks.0.mlp.fc1"]]
    unit = handler.linear.unit(handler.source.step)
    own = handler.linear.bias_codes(handler.source.step)
    found = made.narrowing(linears["blocks.0.mlp.fc1"]).bias.numpy()
    assert act.input_quantizer.zero_point != 0
    assert np.array_equal(found, own + act.input_offset(unit))
    made, linears = matmuls(plain)
    handler = plain.handlers[linears["blocks.0.mlp.fc1"]]
    found = made.narrowing(linears["blocks.0.mlp.fc1"]).bias.numpy()
    assert np.array_equal(found, handler.linear.bias_codes(handler.source.step))


def links(model: QuantModel) -> list[Add]:
    return [link.node for stream in model.config.backbone.graph.streams for link in stream.links]


def test_factors_behind_a_layer_are_the_units() -> None:
    model = qat_model("registers", schemes={"residual": "power-of-two"})
    made, _ = matmuls(model)
    gamma = model.get_submodule("blocks.0.ls1.gamma").value.detach().double()
    link = links(model)[0]
    (branch,) = (value for value in link.nodes if value.path.endswith("ls1"))
    route = made.route(branch)
    assert route.linear.path == "blocks.0.attn.proj" and route.order is None
    assert torch.equal(route.factor, gamma)
    handler = model.handlers[link]
    module = made.to_stream(route, handler.quantizer, model.residual.channel_step)
    assert module.op.name == "PackedInt4MatMulAdd"
    source = model.handlers[route.linear]
    unit = source.linear.unit(source.source.step) * gamma
    wanted = fixed_point.requantizer(array(unit / handler.quantizer.channel_step))
    assert np.array_equal(module.multiplier.numpy(), wanted[1])


def test_moves_behind_a_layer_are_made_in_front_of_it() -> None:
    """Of a shifted Swin block: windows to the image, and back by the shift."""
    model = qat_model("swin")
    made, _ = matmuls(model)
    for index, shift in ((0, (0, 0)), (2, (2, 1))):
        link = links(model)[index]
        handler = model.handlers[link]
        route = made.route(link.nodes[handler.branch])
        windows = torch.arange(48).reshape(2, 2, 4, 3).transpose(1, 2).reshape(8, 6)
        assert route.linear.path == f"layers.0.blocks.{index // 2}.attn.proj"
        assert torch.equal(route.order, windows.roll(shift, (0, 1)).flatten())


class Shared(nn.Module):
    """A layer whose outputs two activations read, side by side in the next layer."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained_cfg = {"input_size": (1, 16, 12), "mean": (0.5,), "std": (0.5,)}
        self.embed, self.norm = nn.Conv2d(1, 8, 4, 4), nn.LayerNorm(8)
        self.first, self.hidden = nn.Linear(8, 16), nn.Linear(16, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embed(x).flatten(2).transpose(1, 2)[:, 0])
        both = self.first(x)
        x = x + self.hidden(F.gelu(both)) + self.hidden(F.silu(both))
        return self.last(self.norm(x))


def test_two_readers_need_equal_steps() -> None:
    torch.manual_seed(0)
    spec = QuantSpec.preset("w8a8").with_schemes({"residual": "per-tensor"})
    model = convert_to_qat(Shared(), spec)
    calibrate(model, images(16))
    first, second = (model.get_submodule(f"act{end}").input_quantizer for end in ("", "_2"))
    second.set_step(first.step * 2)
    made, linears = matmuls(model)
    with pytest.raises(PqvError, match="two readers of a linear layer's outputs have different"):
        made.narrowing(linears["first"])
