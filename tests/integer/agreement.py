"""Layer by layer: how often a fake-quantized layer and its integer op give the same code.

Each layer of the fake-quantized model is fed with what the integer model computed before it, so
that a disagreement is that layer's own and is not carried along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pqv_onnx.integer import IntegerModel
from pqv_onnx.integer.blocks import IntegerBlock
from pqv_onnx.integer.swin import (
    IntegerPatchMerging,
    IntegerSwinPatchEmbed,
    IntegerWindowAttention,
)
from pqv_onnx.integer.vit import IntegerVisionTransformer
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.qat.windows import merge_heads


@torch.no_grad()
def code_agreement(
    model: QuantModel, integer: IntegerModel, images: Tensor
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
    def hook(quantizer: Quantizer, _inputs: Any, output: Tensor) -> Tensor:
        found, wanted = quantizer.codes(output), codes.reshape(output.shape).long()
        difference = (found - wanted).abs()
        result[name] = ((difference == 0).double().mean().item(), int(difference.max()))
        is_residual = isinstance(quantizer, ResidualQuantizer)
        step = quantizer.channel_step if is_residual else quantizer.step
        return (wanted - getattr(quantizer, "zero_point", 0)) * step

    return hook


def _record(integer: Any, images: Tensor) -> dict[str, Tensor]:
    """The integer model's codes under the names of the quantizers that make them."""
    outputs: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
        for name, module in integer.named_modules()
    ]
    if isinstance(integer, IntegerVisionTransformer):
        handles += [
            integer.blocks[0].register_forward_hook(
                lambda _m, inputs, _out: outputs.update({"residual": inputs[0]})
            )
        ]
    integer(images)
    for handle in handles:
        handle.remove()
    codes = {"patch_embed.quantizer": outputs["quantize"], "norm.quantizer": outputs["norm"]}
    for name, op in _SOURCES.items():
        if op in outputs:
            codes[name] = outputs[op]
    for name, module in integer.named_modules():
        if isinstance(module, IntegerBlock):
            codes |= _block_codes(name, outputs, module.attn)
        if isinstance(module, IntegerSwinPatchEmbed):
            codes["patch_embed.embedded"] = outputs["patch_embed.proj"]
        if isinstance(module, IntegerPatchMerging):
            codes[f"{name}.norm.quantizer"] = outputs[f"{name}.norm"]
            codes[f"{name}.residual"] = outputs[f"{name}.reduction"]
    return codes


_SOURCES = {
    "residual": "residual",
    "pool.quantizer": "pool",
    "head.pool.quantizer": "head.pool",
    "patch_embed.norm.quantizer": "patch_embed.norm",
}


def _block_codes(path: str, outputs: dict[str, Tensor], attn: Any) -> dict[str, Tensor]:
    q, k, v = attn.split_heads(outputs[f"{path}.attn.qkv"]).unbind(0)
    context = outputs[f"{path}.attn.mean"]
    if isinstance(attn, IntegerWindowAttention):  # in training, the roll comes after the projection
        context = merge_heads(context, attn.window, attn.grid)
    else:
        context = attn.merge_heads(context)
    return {
        f"{path}.norm1.quantizer": outputs[f"{path}.norm1"],
        f"{path}.attn.q_quantizer": q,
        f"{path}.attn.k_quantizer": k,
        f"{path}.attn.v_quantizer": v,
        f"{path}.attn.quantizer": context,
        f"{path}.residual1": outputs[f"{path}.attn.proj"],
        f"{path}.norm2.quantizer": outputs[f"{path}.norm2"],
        f"{path}.mlp.act.input_quantizer": outputs[f"{path}.mlp.fc1"],
        f"{path}.mlp.act.quantizer": outputs[f"{path}.mlp.act"],
        f"{path}.residual2": outputs[f"{path}.mlp.fc2"],
    }
