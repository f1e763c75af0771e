"""The border ops: rounding and saturation of ONNX's QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import torch

from pqv_onnx.integer.border import dequantize_linear, quantize_linear


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    x = torch.tensor([0.25, 0.75, -0.25, -0.75, 63.5, 1000.0, -1000.0])
    assert quantize_linear(x, 0.5).tolist() == [0, 2, 0, -2, 127, 127, -128]


def test_dequantize_is_per_channel() -> None:
    x = torch.tensor([[1, -2], [3, 4]], dtype=torch.int32)
    found = dequantize_linear(x, torch.tensor([0.5, 2.0]))
    assert torch.equal(found, torch.tensor([[0.5, -4.0], [1.5, 8.0]]))


def test_fake_versions() -> None:
    torch.library.opcheck(quantize_linear, (torch.randn(2, 3), 0.1))
    dequantize_args = (torch.ones(2, 3, dtype=torch.int32), torch.ones(3))
    torch.library.opcheck(dequantize_linear, dequantize_args)
