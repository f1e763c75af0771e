"""A model trained with e computes the same in base 2 (docs/quantization.md)."""

from __future__ import annotations

import striped
import torch
from torch import Tensor, nn

from pqv_onnx.qat import convert_to_qat
from pqv_onnx.qat.handlers import Attention
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.models import FloatSource


def base_2_attention(attention: nn.Module, logit_scale: float, x: Tensor) -> Tensor:
    """timm's attention with the QAT model's logits and a softmax of base 2, in float."""
    b, t, c = x.shape
    heads = attention.num_heads
    q, k, v = attention.qkv(x).reshape(b, t, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
    powers = torch.exp2(q * logit_scale @ k.transpose(-2, -1))
    weights = powers / powers.sum(-1, keepdim=True)
    return attention.proj((weights @ v).transpose(1, 2).reshape(b, t, c))


def test_attention_in_base_2_is_attention_in_base_e() -> None:
    model = FloatSource(seed=0).load(striped.NAME)
    handlers = convert_to_qat(model, QuantSpec.preset("w8a8")).handlers.values()
    scales = [each.logit_scale for each in handlers if isinstance(each, Attention)]
    model = model.double()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        expected = model(images)
        for block, scale in zip(model.blocks, scales, strict=True):
            attention = block.attn
            attention.forward = lambda x, *_, a=attention, s=scale, **__: base_2_attention(a, s, x)
        found = model(images)
    assert (found - expected).abs().max() < 1e-12 * expected.abs().max()
