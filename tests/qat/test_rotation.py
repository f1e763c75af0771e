"""Rotations leave the float model alone and take outlier channels away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pqv_onnx.qat import convert_to_qat
from pqv_onnx.qat.convert import with_spec
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.qat.rotation import dct, mean_keeping
from pqv_onnx.spec import QuantSpec
from tests.qat.models import VARIANTS, float_model, images

ROTATED = QuantSpec.preset("w8a8").with_schemes({"residual": "rotated", "qkv": "rotated"})
PLAIN = ROTATED.with_schemes({"residual": "power-of-two", "qkv": "per-tensor"})


@pytest.mark.parametrize("size", [1, 2, 7, 96, 384])
def test_matrices_are_orthogonal_and_flat(size: int) -> None:
    eye = torch.eye(size, dtype=torch.float64)
    for matrix in (dct(size), mean_keeping(size)):
        torch.testing.assert_close(matrix @ matrix.T, eye)
    ones = torch.ones(size, dtype=torch.float64)
    torch.testing.assert_close(mean_keeping(size) @ ones, ones)
    # Each channel goes to all others in like shares.
    assert (mean_keeping(size).abs() < 4.5 * size**-0.5).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_float_model_stays_what_it_is(variant: str) -> None:
    model = convert_to_qat(float_model(variant), ROTATED)
    with full_precision():
        found = model(images(4))
    torch.testing.assert_close(found, float_model(variant)(images(4)), rtol=1e-4, atol=1e-4)


class TokensSideBySide(nn.Module):
    """A norm of two tokens of a stream at once, as one of patches that are merged."""

    def __init__(self) -> None:
        super().__init__()
        self.proj, self.pos = nn.Conv2d(1, 32, 4, 4), nn.Parameter(torch.randn(1, 12, 32))
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(64)
        self.fc1, self.act, self.fc2 = nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)
        self.head = nn.Linear(64, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x).flatten(2).transpose(1, 2) + self.pos
        x = x + self.fc2(self.act(self.fc1(self.norm1(x))))
        out: torch.Tensor = self.head(self.norm2(torch.cat([x[:, 0], x[:, 5]], -1)))
        return out


def test_tokens_side_by_side() -> None:
    teacher = TokensSideBySide().eval()
    given = convert_to_qat(float_model("token"), ROTATED).config.preprocessing
    model = convert_to_qat(teacher, ROTATED, preprocessing=given, size=(1, 16, 12))
    with full_precision():
        found = model(images(4))
    torch.testing.assert_close(found, teacher(images(4)), rtol=1e-4, atol=1e-4)


def test_an_outlier_channel_spreads() -> None:
    """A channel 500 times as wide as the others is 500 / sqrt(channels) times as wide."""
    spreads = []
    for spec in (PLAIN, ROTATED):
        vit = float_model(embed_dim=64)
        with torch.no_grad():
            vit.pos_embed[..., 5] *= 500
        model = convert_to_qat(vit, spec)
        seen: list[torch.Tensor] = []
        assert isinstance(model.residual, ResidualQuantizer)
        model.residual.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(x[0]))
        with full_precision():
            model(images(8))
        ranges = seen[0].abs().amax((0, 1))
        spreads.append((ranges.max() / ranges.median()).item())
    assert spreads[0] > 100
    assert spreads[1] < 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_rotated_later_is_rotated_at_once(variant: str) -> None:
    unrotated = convert_to_qat(float_model(variant), ROTATED.unrotated())
    found = with_spec(unrotated, ROTATED)
    at_once = convert_to_qat(float_model(variant), ROTATED)
    assert found.config == at_once.config
    torch.testing.assert_close(
        found.state_dict(), at_once.state_dict(), rtol=0, atol=0, equal_nan=True
    )
