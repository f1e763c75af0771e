"""Layer by layer: how often a fake-quantized layer and its integer op give the same code.

Each layer of the fake-quantized model is fed with what the integer model computed before it, so
that a disagreement is that layer's own and is not carried along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pqv_onnx.integer.vit import IntegerVisionTransformer
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.qat.vit import QuantVisionTransformer


@torch.no_grad()
def code_agreement(
    model: QuantVisionTransformer, integer: IntegerVisionTransformer, images: Tensor
) -> dict[str, tuple[float, int]]:
    """The share of equal codes and the largest difference in codes, for each quantizer."""
    expected = _record(integer, images)
    result: dict[str, tuple[float, int]] = {}
    handles = []
    for name, module in model.named_modules():
        if name in expected:
            handles.append(module.register_forward_hook(_force(name, expected[name], result)))
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return result


def _force(
    name: str, codes: Tensor, result: dict[str, tuple[float, int]]
) -> Callable[[Any, Any, Any], Tensor]:
    def hook(quantizer: Quantizer, inputs: tuple[Tensor], _output: Tensor) -> Tensor:
        found, wanted = quantizer.codes(inputs[0]), codes.reshape(inputs[0].shape).long()
        difference = (found - wanted).abs()
        result[name] = ((difference == 0).double().mean().item(), int(difference.max()))
        is_residual = isinstance(quantizer, ResidualQuantizer)
        step = quantizer.channel_step if is_residual else quantizer.step
        return (wanted - getattr(quantizer, "zero_point", 0)) * step

    return hook


def _record(integer: IntegerVisionTransformer, images: Tensor) -> dict[str, Tensor]:
    """The integer model's codes under the names of the quantizers that make them."""
    outputs: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
        for name, module in integer.named_modules()
    ]
    handles += [
        integer.blocks[0].register_forward_hook(
            lambda _m, inputs, _out: outputs.update({"residual": inputs[0]})
        )
    ]
    integer(images)
    for handle in handles:
        handle.remove()
    codes = {
        "patch_embed.quantizer": outputs["quantize"],
        "residual": outputs["residual"],
        "norm.quantizer": outputs["norm"],
    }
    if integer.pool is not None:
        codes["pool.quantizer"] = outputs["pool"]
    for index in range(len(integer.blocks)):
        codes |= _block_codes(f"blocks.{index}", outputs, integer.config.geometry.num_heads)
    return codes


def _block_codes(path: str, outputs: dict[str, Tensor], heads: int) -> dict[str, Tensor]:
    qkv = outputs[f"{path}.attn.qkv"]
    b, t, c = qkv.shape
    q, k, v = qkv.reshape(b, t, 3, heads, c // 3 // heads).permute(2, 0, 3, 1, 4).unbind(0)
    return {
        f"{path}.norm1.quantizer": outputs[f"{path}.norm1"],
        f"{path}.attn.q_quantizer": q,
        f"{path}.attn.k_quantizer": k,
        f"{path}.attn.v_quantizer": v,
        f"{path}.attn.quantizer": outputs[f"{path}.attn.mean"].transpose(1, 2),
        f"{path}.residual1": outputs[f"{path}.attn.proj"],
        f"{path}.norm2.quantizer": outputs[f"{path}.norm2"],
        f"{path}.mlp.act.input_quantizer": outputs[f"{path}.mlp.fc1"],
        f"{path}.mlp.act.quantizer": outputs[f"{path}.mlp.act"],
        f"{path}.residual2": outputs[f"{path}.mlp.fc2"],
    }
