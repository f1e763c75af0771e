"""Factors of codes, and sums of matmuls, in one small model for each place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.runtime.preprocess import Preprocessing
from pqv_onnx.spec import QuantSpec
from tests.trace.models import images

SIZE = (3, 16, 16)
HALVES = Preprocessing((0.5,) * 3, (0.5,) * 3)


class Model(nn.Module):
    """Tokens [B, 16, 8], ``body``, and a head."""

    def __init__(self, body: Callable[[Model, Tensor], Tensor], width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)
        self.one = nn.Linear(width, width)
        self.two = nn.Linear(width, width)
        self.of_channels = nn.Parameter(torch.randn(width))
        self.of_tokens = nn.Parameter(torch.randn(16, 1))
        self.head = nn.Linear(width, 5)
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.embed(image).flatten(2).transpose(1, 2))
        return self.head(self.body(self, x).mean(1))


BODIES: dict[str, Callable[[Model, Tensor], Tensor]] = {
    "of channels": lambda model, x: model.norm(x * model.of_channels),
    "of tokens": lambda model, x: model.norm(x * model.of_tokens),
    "negative": lambda model, x: model.norm(x.roll(1, 1) * -0.3),
    "positions": lambda model, x: model.norm(model.one(x) + model.of_tokens * model.of_channels),
    "token positions": lambda model, x: model.norm(x + model.of_tokens),
    "two matmuls": lambda model, x: model.norm(model.one(x) + model.two(x).roll(1, 1)),
    "difference": lambda model, x: model.norm(model.one(x) - model.two(x)),
    "a matmul's tokens": lambda model, x: x + model.of_tokens * model.one(x),
    "half of a matmul": lambda model, x: x + model.one(x)[..., :4].repeat_interleave(2, -1),
}


@pytest.mark.parametrize(
    ("body", "width"),
    # As many channels as tokens: factors of the one could be taken for factors of the other.
    [*((body, 8) for body in BODIES), ("a matmul's tokens", 16)],
)
def test_what_is_trained_is_what_runs(body: str, width: int) -> None:
    model, data = Model(BODIES[body], width).eval(), images(SIZE, 4)
    quantized = convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE).eval()
    with torch.no_grad():
        with full_precision():
            torch.testing.assert_close(quantized(data), model(data), rtol=1e-4, atol=1e-4)
        calibrate(quantized, data)
        assert torch.equal(quantized(data), convert_to_integer(quantized)(data))


def test_odd_widths_are_refused() -> None:
    model = Model(BODIES["of channels"], width=7).eval()
    with pytest.raises(PqvError, match="model: a factor of codes of an odd number of channels"):
        convert_to_qat(model, QuantSpec.preset("w8a8"), HALVES, size=SIZE)
