"""Attention of other shapes than timm's, in one small model for each."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


BODIES: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "no heads": whole,
    "no heads, with a bias": lambda model, x: whole(model, x, model.bias),
    "a bias for all heads": lambda model, x: in_heads(model, x, model.bias),
    "a mask of two axes": lambda model, x: in_heads(model, x, model.causal),
    "a mask of four axes": lambda model, x: in_heads(model, x, model.causal[None, None]),
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
