"""Checkpoints of version 1, which held sizes and options of a ViT or Swin in place of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.qat.config import Backbone, ModelConfig
from pqv_onnx.qat.convert import describe
from pqv_onnx.qat.layers import Constant
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.trace.graph import Graph
from pqv_onnx.trace.store import detach

_RENAMED = {
    "quantizer.": "patch_embed.quantizer.",
    "patch_embed.norm.input_quantizer.": "patch_embed.embedded.",
    "pool.": "pool.quantizer.",
    "head.global_pool.pool.": "head.pool.quantizer.",
    "fc_norm.": "norm.",
}
"""How names began in version 1, by how they begin now."""
_LARGEST = 2**24
_MAX_DEPTH = 1024
_TIMM = {"depth", "depths", "num_heads", "num_classes", "img_size", "patch_size", "in_chans"} | {
    *("embed_dim", "qkv_bias", "proj_bias", "class_token", "reg_tokens", "no_embed_class"),
    *("global_pool", "fc_norm", "window_size", "mlp_ratio"),
}
"""Fields that timm's classes have under the same names."""


def upgrade(state: Mapping[str, Tensor], config: Any) -> tuple[dict[str, Tensor], ModelConfig]:
    """The state dict and config that the checkpoint would have today.

    Raises:
        PqvError: the config is damaged, or a value is missing, left over or misshapen.
    """
    families = [name for name in ("vit", "swin") if isinstance(config, Mapping) and name in config]
    if len(families) != 1 or not isinstance(config[families[0]], Mapping):
        raise PqvError("model config: found neither sizes of a vit nor of a swin")
    (family,) = families
    fields = config[family]
    try:
        _check_sizes(fields)
        model = _float_model(family, fields)
        graph = describe(model)
        buffers = _buffers(family, fields)
        backbone = Backbone(fields["architecture"], detach(graph, model)).to_dict()
    # Whatever timm makes of damaged sizes.
    except Exception as error:
        sentence = first_line(error)
        raise PqvError(f"model config: {family} is damaged ({sentence})") from None
    rest = {name: value for name, value in config.items() if name != family}
    made = ModelConfig.from_dict({"backbone": backbone, **rest})
    with torch.device("meta"):
        quantized = QuantModel(made)
    expressions = _expressions(quantized, graph)
    shapes = {name: tensor.shape for name, tensor in model.named_parameters()}
    tensors = {**buffers, **state}
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    for name in quantized.state_dict():
        if name in expressions:
            names = expressions[name].names()
            _check_values(names - buffers.keys(), state, shapes)
            found[name], used = expressions[name].value(tensors).clone(), used | names
        else:
            old = _old_name(name, state)
            found[name] = state[old]
            used.add(old)
    if extra := sorted(set(state) - used):
        raise PqvError(f"unknown {', '.join(extra[:5])}")
    return found, made


def _check_sizes(fields: Mapping[str, Any]) -> None:
    """Refuse what no model has before timm builds it."""
    for value in fields.values():
        for size in value if isinstance(value, list | tuple) else (value,):
            if isinstance(size, int | float) and not 0 <= size < _LARGEST:
                raise ValueError(f"found {size}")
    depths = fields["depths"] if "depths" in fields else [fields["depth"]]
    if not 0 < sum(depths) <= _MAX_DEPTH:
        raise ValueError(f"found {depths} blocks")


def _check_values(
    names: set[str], state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]
) -> None:
    for name in sorted(names):
        if name not in state:
            raise PqvError(f"missing {name}")
        if state[name].shape != shapes[name]:
            found, wanted = list(state[name].shape), list(shapes[name])
            raise PqvError(f"{name} is {found}, expected {wanted}")


def _old_name(name: str, state: Mapping[str, Tensor]) -> str:
    if name in state:
        return name
    for now, before in _RENAMED.items():
        if name.startswith(now) and (old := before + name.removeprefix(now)) in state:
            return old
    raise PqvError(f"missing {name}")


def _float_model(family: str, fields: Mapping[str, Any]) -> nn.Module:
    """The timm model on the meta device."""
    arguments = {name: value for name, value in fields.items() if name in _TIMM}
    norm: Any = partial(nn.LayerNorm, eps=fields["norm_eps"])
    with torch.device("meta"):
        if family == "swin":
            return SwinTransformer(**arguments, norm_layer=norm)
        arguments["mlp_ratio"] = fields["mlp_dim"] / fields["embed_dim"]
        arguments["init_values"] = 1.0 if fields["layer_scale"] else None
        cls = VisionTransformerDistilled if fields["dist_token"] else VisionTransformer
        return cls(**arguments, norm_layer=norm)


def _buffers(family: str, fields: Mapping[str, Any]) -> dict[str, Tensor]:
    """Buffers that timm derives from a Swin's sizes."""
    if family != "swin":
        return {}
    arguments = {name: value for name, value in fields.items() if name in _TIMM}
    small = arguments | {"embed_dim": 8, "num_classes": 1}
    small["num_heads"] = [1] * len(fields["num_heads"])
    return dict(SwinTransformer(**small).named_buffers())


def _expressions(model: QuantModel, graph: Graph) -> dict[str, Any]:
    """What the model's constants are computed from, by their names in its state dict."""
    names = {
        id(module.value): f"{name}.value"
        for name, module in model.named_modules()
        if isinstance(module, Constant)
    }
    found = {}
    for node, stored in zip(graph.nodes, model.config.backbone.graph.nodes, strict=True):
        for const, tensor in zip(node.consts, model.handlers[stored].constants(), strict=True):
            if id(tensor) in names:
                found[names[id(tensor)]] = const
    return found
