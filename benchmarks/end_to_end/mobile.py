"""The float model as files of the runtimes that phones use, in float32 and in int8.

Run by the Python of an environment that has their tools; see `benchmarks/README.md`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.end_to_end.prepare import float_model, images


def make_executorch(name: str, _: Path, target: Path) -> None:
    target.write_bytes(_lower(_plain(name), _image(name)))


def make_executorch_int8(name: str, _: Path, target: Path) -> None:
    """PT2E: static, symmetric int8, weights per channel."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    exported = torch.export.export(_plain(name), (_image(name),)).module()
    prepared = prepare_pt2e(exported, quantizer)
    for image in images(name):
        prepared(torch.from_numpy(image[np.newaxis]))
    target.write_bytes(_lower(convert_pt2e(prepared), _image(name)))


def make_litert(name: str, _: Path, target: Path) -> None:
    import litert_torch

    litert_torch.convert(_plain(name), (_image(name),)).export(str(target))


def make_litert_int8(name: str, fp32: Path, target: Path) -> None:
    """Static int8 of linear layers and convolutions, weights per channel.

    With everything in int8 that can be, XNNPACK has no kernels for half of it: twice as slow.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    for op in (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.CONV_2D):
        manager.add_static_config(".*", op, activation_num_bits=8, weight_num_bits=8)
    _quantize_litert(name, fp32, target, manager.get_quantization_recipe())


def make_litert_dynamic(name: str, fp32: Path, target: Path) -> None:
    from ai_edge_quantizer import recipe

    _quantize_litert(name, fp32, target, recipe.dynamic_wi8_afp32())


def _quantize_litert(name: str, fp32: Path, target: Path, recipe: Any) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer

    floats = target.with_name("float.tflite")
    make_litert(name, fp32, floats)
    quantizing = quantizer.Quantizer(str(floats), recipe)
    statistics = None
    if quantizing.need_calibration:
        ((key, signature),) = Interpreter(str(floats)).get_signature_list().items()
        (entry,) = signature["inputs"]
        statistics = quantizing.calibrate({key: [{entry: x[np.newaxis]} for x in images(name)]})
    quantizing.quantize(statistics).export_model(str(target))


def make_ncnn(name: str, _: Path, target: Path) -> None:
    import pnnx

    pnnx.export(
        _with_torch_attention(name),
        str(target.with_name("traced.pt")),
        (_image(name),),
        ncnnparam=str(target),
        ncnnbin=str(target.with_suffix(".bin")),
        fp16=False,
    )
    channels, height, width = images(name).shape[1:]
    said, meant = "0 1 in0\n", f"0 1 in0 0={width} 1={height} 2={channels}\n"
    target.write_text(target.read_text().replace(said, meant, 1))


def make_ncnn_int8(name: str, fp32: Path, target: Path) -> None:
    """Weights in int8; activations become int8 while the model runs."""
    floats = target.with_name("float.param")
    make_ncnn(name, fp32, floats)
    channels, height, width = images(name).shape[1:]
    listed = target.with_name("images.txt")
    for number, image in enumerate(images(name)):
        np.save(target.with_name(f"{number}.npy"), image)
    listed.write_text(
        "".join(f"{target.with_name(f'{i}.npy')}\n" for i in range(len(images(name))))
    )
    table = target.with_name("scales.table")
    files = (floats, floats.with_suffix(".bin"))
    settings = (f"shape=[{width},{height},{channels}]", "method=kl", "type=1", "thread=1")
    subprocess.run([_ncnn_tool("ncnn2table"), *files, listed, table, *settings], check=True)
    made = (target, target.with_suffix(".bin"))
    subprocess.run([_ncnn_tool("ncnn2int8"), *files, *made, table], check=True)


def _ncnn_tool(name: str) -> str:
    """A program of ncnn's sources, which its Python package comes without."""
    found = shutil.which(name, path=os.environ.get("NCNN_TOOLS"))
    if found is None:
        raise FileNotFoundError(f"{name} not found: build it, and name its folder in NCNN_TOOLS")
    return found


def _plain(name: str) -> Any:
    """The model with attention as matmuls and a softmax, which these exporters take whole."""
    model = float_model(name)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


def _with_torch_attention(name: str) -> Any:
    """The model with torch's own module for attention, which pnnx makes one layer of ncnn of."""
    import copy

    import torch
    from timm.layers import Attention

    class SelfAttention(torch.nn.Module):
        def __init__(self, timm: Attention) -> None:
            super().__init__()
            # An instance of a derived class would not be recognised.
            torchs = torch.nn.MultiheadAttention(
                timm.proj.in_features, timm.num_heads, batch_first=True
            )
            torchs.in_proj_weight, torchs.in_proj_bias = timm.qkv.weight, timm.qkv.bias
            torchs.out_proj.weight, torchs.out_proj.bias = timm.proj.weight, timm.proj.bias
            self.attention = torchs

        def forward(self, x: Any, **_: Any) -> Any:
            return self.attention(x, x, x, need_weights=False)[0]

    model = copy.deepcopy(float_model(name))
    for module in list(model.modules()):
        for key, child in module.named_children():
            if isinstance(child, Attention):
                setattr(module, key, SelfAttention(child))
    return model.eval()


def _image(name: str) -> Any:
    import torch

    return torch.from_numpy(images(name)[:1])


def _lower(model: Any, image: Any) -> bytes:
    """An ExecuTorch program; XNNPACK runs what it can of it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(model, (image,))
    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    program: bytes = edge.to_executorch().buffer
    return program


RECIPES = {
    "executorch": make_executorch,
    "executorch-int8": make_executorch_int8,
    "litert": make_litert,
    "litert-int8": make_litert_int8,
    "litert-dynamic": make_litert_dynamic,
    "ncnn": make_ncnn,
    "ncnn-int8": make_ncnn_int8,
}
