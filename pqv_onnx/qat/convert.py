"""timm models to fake-quantized ones, by a strict mapping of their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.blocks import QuantAttention
from pqv_onnx.qat.config import ModelConfig, Preprocessing
from pqv_onnx.qat.describe import pretrained_cfg
from pqv_onnx.qat.geometry import Geometry, SwinConfig, VitConfig
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.rotation import rotate, rotate_heads
from pqv_onnx.qat.swin import QuantSwinTransformer
from pqv_onnx.qat.swin_describe import describe_swin
from pqv_onnx.qat.vit import QuantVisionTransformer
from pqv_onnx.qat.vit_describe import describe_vit
from pqv_onnx.spec import QuantSpec

_QUANTIZATION_STATE = ("log_step", "exponent")

_DESCRIBERS: dict[type[nn.Module], Callable[[nn.Module], Geometry]] = {
    VisionTransformer: describe_vit,
    VisionTransformerDistilled: describe_vit,
    SwinTransformer: describe_swin,
}
"""The timm classes that are supported, and how their geometry is read."""

_MODELS: dict[type[Geometry], type[QuantModel]] = {
    VitConfig: QuantVisionTransformer,
    SwinConfig: QuantSwinTransformer,
}
"""The model of each family."""


def convert_to_qat(
    model: nn.Module,
    spec: QuantSpec,
    preprocessing: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
) -> QuantModel:
    """Build the fake-quantized form of a timm model.

    Dropout and stochastic depth are left out. Of a distilled DeiT the two heads become one,
    whose logits are the mean of theirs.

    Args:
        model: a timm ``VisionTransformer``, ``VisionTransformerDistilled`` or
            ``SwinTransformer``.
        spec: the quantization scheme.
        preprocessing: how to make the input; by default what timm says about the model.
        labels: a name for each class.

    Returns:
        An uncalibrated model with copies of the weights; see ``calibrate``.

    Raises:
        PqvError: the model has a feature that is not supported, a weight has no counterpart, or
            the spec has bits for a layer that is not there.
    """
    geometry = describe(model)
    if preprocessing is None:
        preprocessing = _preprocessing(model, geometry.in_chans)
    quantized = build_qat(ModelConfig(geometry, spec, preprocessing, labels))
    load_float_weights(quantized, model.state_dict())
    _rotate(quantized)
    return quantized


def _rotate(model: QuantModel) -> None:
    """Fold the rotations that the spec asks for into float weights."""
    spec = model.config.spec
    if spec.residual.scheme == "rotated":
        for stream in model.rotatable_streams():
            rotate(stream)
    if spec.qkv.scheme == "rotated":
        for module in model.modules():
            if isinstance(module, QuantAttention):
                rotate_heads(module.qkv, module.proj, module.num_heads)


def build_qat(config: ModelConfig) -> QuantModel:
    """The uncalibrated model of zeros that ``config`` describes.

    Raises:
        PqvError: the spec has bits for a layer that is not there.
    """
    model = _MODELS[type(config.geometry)](config)
    layers = model.block_layers()
    spec = config.spec.for_layers(layers)
    for name, bits in spec.weight_bits.items():
        layers[name].set_bits(bits)
    model.config = replace(config, spec=spec)
    return model


def describe(model: nn.Module) -> Geometry:
    """Read the geometry of a timm model.

    Raises:
        PqvError: the model is of another class or has a feature that is not supported.
    """
    if type(model) not in _DESCRIBERS:
        names = [cls.__name__ for cls in _DESCRIBERS]
        raise PqvError(
            f"model is a {type(model).__name__}, "
            f"expected a timm {', '.join(names[:-1])} or {names[-1]}"
        )
    return _DESCRIBERS[type(model)](model)


def load_float_weights(model: QuantModel, state: Mapping[str, Tensor]) -> None:
    """Copy a float state dict with timm's keys into ``model``, each key exactly once.

    Raises:
        PqvError: a key is missing, left over, or has another shape than the model's.
    """
    targets = {
        name: parameter
        for name, parameter in model.named_parameters()
        if not name.endswith(_QUANTIZATION_STATE)
    }
    sources = {name: model.float_source(name, state) for name in targets}
    needed = {key for keys, _ in sources.values() for key in keys}
    if missing := sorted(needed - set(state)):
        raise PqvError(f"weights: missing {', '.join(missing)}")
    if extra := sorted(set(state) - needed):
        raise PqvError(f"weights: no place in the quantized model for {', '.join(extra)}")
    with torch.no_grad():
        for name, (keys, combine) in sources.items():
            value = combine(*(state[key] for key in keys))
            if value.shape != targets[name].shape:
                raise PqvError(
                    f"weights: {', '.join(keys)} has shape {list(state[keys[0]].shape)}, "
                    f"expected {list(targets[name].shape)} for {name}"
                )
            targets[name].copy_(value)


def _preprocessing(model: nn.Module, in_chans: int) -> Preprocessing:
    """What timm says about the input; grey images get the colour channels' average."""
    cfg = pretrained_cfg(model)
    mean, std = cfg.get("mean", (0.5,)), cfg.get("std", (0.5,))
    if len(mean) != in_chans:
        mean, std = ((sum(mean) / len(mean),) * in_chans, (sum(std) / len(std),) * in_chans)
    return Preprocessing(
        mean=tuple(mean),
        std=tuple(std),
        crop_pct=float(cfg.get("crop_pct") or 1.0),
        interpolation=cfg.get("interpolation") or "bicubic",
    )
