"""Attention of other shapes than timm's, in one small model for each."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.checkpoint import load_qat, save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.runtime.preprocess import Preprocessing
from pqv_onnx.spec import QuantSpec
from tests.trace.models import images

SIZE = (3, 8, 8)
HALVES = Preprocessing((0.5,) * 3, (0.5,) * 3)


class Model(nn.Module):
    """Tokens [B, 4, 8], the attention ``body``, and a head."""

    def __init__(self, body: Callable[[Model, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.norm, self.last_norm = nn.LayerNorm(8), nn.LayerNorm(8)
        self.q, self.k, self.v, self.proj = (nn.Linear(8, 8) for _ in range(4))
        self.query = nn.Parameter(torch.randn(1, 2, 8))
        self.bias = nn.Parameter(torch.randn(4, 4))
        self.by_head, self.by_key = nn.Parameter(torch.randn(2, 1, 1)), nn.Parameter(torch.randn(4))
        self.by_window = nn.Parameter(torch.randn(2, 1, 2, 2))
        self.register_buffer("causal", torch.full((4, 4), -math.inf).triu(1))
        self.head = nn.Linear(8, 5)
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed(image).flatten(2).transpose(1, 2))
        return self.head(self.last_norm(self.proj(self.body(self, x))).mean(1))


def whole(model: Model, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Without an axis of heads."""
    return F.scaled_dot_product_attention(model.q(x), model.k(x), model.v(x), bias)


def in_heads(model: Model, x: Tensor, bias: Tensor) -> Tensor:
    """In two heads."""
    q, k, v = (
        layer(x).unflatten(2, (2, 4)).transpose(1, 2) for layer in (model.q, model.k, model.v)
    )
    return F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2)


def in_windows(model: Model, x: Tensor, bias: Tensor) -> Tensor:
    """In two heads and two windows of two tokens each."""
    q, k, v = (
        layer(x).unflatten(1, (2, 2)).unflatten(3, (2, 4)).transpose(2, 3)
        for layer in (model.q, model.k, model.v)
    )
    attended = F.scaled_dot_product_attention(q, k, v, bias)
    return attended.transpose(2, 3).flatten(3).flatten(1, 2)


def mask_of_each_head(model: Model) -> Tensor:
    """One head sees what is in front of a token, the other one what is behind it."""
    return torch.stack([model.causal, model.causal.T])


BODIES: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "no heads": whole,
    "no heads, with a bias": lambda model, x: whole(model, x, model.bias),
    "a bias for all heads": lambda model, x: in_heads(model, x, model.bias),
    "a mask of two axes": lambda model, x: in_heads(model, x, model.causal),
    "a mask of four axes": lambda model, x: in_heads(model, x, model.causal[None, None]),
    "a mask of keys": lambda model, x: in_heads(model, x, model.causal[:1]),
    "a mask of each head": lambda model, x: in_heads(model, x, mask_of_each_head(model)),
    "a bias and a mask in one": lambda model, x: in_heads(model, x, model.bias + model.causal),
    "a bias of each head": lambda model, x: in_heads(model, x, model.by_head),
    "a bias of each key": lambda model, x: in_heads(model, x, model.by_key[None]),
    "a bias beyond the op's": lambda model, x: in_heads(model, x, 99 * model.bias),
    "a mask of each window": lambda model, x: in_windows(
        model, x, torch.stack([model.causal[:2, :2], model.causal[:2, :2].T])[:, None]
    ),
    "constant queries": lambda model, x: F.scaled_dot_product_attention(
        model.query, model.k(x), model.v(x)
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_what_is_trained_is_what_runs(body: str) -> None:
    model, data = Model(BODIES[body]).eval(), images(SIZE, 4)
    quantized = convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE).eval()
    with torch.no_grad():
        with full_precision():
            torch.testing.assert_close(quantized(data), model(data), rtol=1e-4, atol=1e-4)
        calibrate(quantized, data)
        integer = convert_to_integer(quantized)
        for some in (data, data[:3]):
            assert torch.equal(quantized(some), integer(some))


@pytest.mark.parametrize("bias", [[-70, -72, -74, -76], [66, 0, 70, 68]])
def test_only_differences_of_a_bias_count(bias: list[int]) -> None:
    model, data = Model(BODIES["a bias of each key"]).eval(), images(SIZE, 4)
    model.by_key.data = torch.tensor(bias) * math.log(2)
    quantized = convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE).eval()
    calibrate(quantized, data)
    with torch.no_grad():
        error = convert_to_integer(quantized)(data) - model(data)
        assert error.std() < model(data).std() / 4


@pytest.mark.parametrize("body", ["a mask of two axes", "a bias and a mask in one"])
def test_a_checkpoint_holds_a_mask_of_infinity(body: str, tmp_path: Path) -> None:
    model, data = Model(BODIES[body]).eval(), images(SIZE, 4)
    quantized = convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE).eval()
    calibrate(quantized, data)
    save_qat(tmp_path / "m.safetensors", quantized)
    with torch.no_grad():
        assert torch.equal(load_qat(tmp_path / "m.safetensors")(data), quantized(data))


@pytest.mark.parametrize(
    ("bias", "sentence"),
    [
        (lambda model: model.by_window, "differs by window is not"),
        (lambda model: model.by_window * model.by_head, "differs by window and head is not"),
    ],
)
def test_a_bias_of_each_window_is_refused(bias: Callable[[Model], Tensor], sentence: str) -> None:
    model = Model(lambda model, x: in_windows(model, x, bias(model))).eval()
    with pytest.raises(PqvError, match=f"^model: a bias of attention's logits that {sentence}"):
        convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE)
