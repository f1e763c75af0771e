"""Layer by layer: the codes of a fake-quantized model beside those of its integer model."""

from __future__ import annotations

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
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.windows import merge_heads


@torch.no_grad()
def both_codes(
    model: QuantModel, integer: IntegerModel, images: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """What each quantizer of activations gives in training, and the integer model in its place."""
    trained: dict[str, Tensor] = {}

    def keep(name: str, quantizer: Quantizer, out: Tensor) -> None:
        trained[name] = quantizer.codes(out) + quantizer.zero_point

    handles = [
        module.register_forward_hook(lambda m, _i, out, name=name: keep(name, m, out))
        for name, module in model.named_modules()
        if isinstance(module, Quantizer) and not isinstance(module, WeightQuantizer)
    ]
    model(images)
    for handle in handles:
        handle.remove()
    recorded = _record(integer, images)
    return {name: (codes, recorded[name].reshape(codes.shape)) for name, codes in trained.items()}


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
