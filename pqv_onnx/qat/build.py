"""Calibrated models without training, for tests of everything behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.qat.calibration import calibrate
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.convert import convert_to_qat
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.spec import QuantSpec
from pqv_onnx.text import similar

_CALIBRATION_IMAGES = 8


def build_random_qat(
    timm_name: str,
    spec: QuantSpec,
    seed: int,
    images: Tensor | None = None,
    size: tuple[int, int] | None = None,
) -> QuantModel:
    """Build a timm model with random weights, and calibrate it.

    The weights are drawn wider than timm's initial ones, so that attention is not flat and
    every step and channel differs, as in a trained model.

    Args:
        timm_name: the name in timm of a supported model.
        spec: the quantization scheme.
        seed: seed of the weights and of the images; the global generator is left alone.
        images: normalised images to calibrate on, [B, C, H, W]; random ones by default.
        size: height and width of the images; by default what the model is made for.

    Returns:
        A calibrated model in evaluation mode.

    Raises:
        PqvError: the name is unknown or the model is not supported.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_timm(timm_name)
        if size is not None:
            set_image_size(model, size)
        randomize(model)
        with refusing(timm_name):
            quantized = convert_to_qat(model, spec)
        if images is None:
            images = random_images(quantized.config, _CALIBRATION_IMAGES)
    calibrate(quantized, images)
    return quantized.eval()


@contextmanager
def refusing(timm_name: str) -> Iterator[None]:
    """What is refused in the block gets the model's name, and where to find those supported."""
    try:
        yield
    except PqvError as error:
        raise PqvError(
            f"{timm_name}: {error}; `pqv models` lists the models that are supported"
        ) from error


def check_timm_name(timm_name: str) -> None:
    """Raise PqvError if timm has no model of this name; it tells names like it."""
    if not timm.is_model(timm_name):
        near = similar(timm_name.partition(".")[0], timm.list_models())
        hint = f", did you mean {near}?" if near else ""
        raise PqvError(f"unknown timm model {timm_name!r}{hint}")


def create_timm(timm_name: str, **kwargs: Any) -> nn.Module:
    """Create a timm model with its initial weights; raises PqvError if timm has no such name."""
    check_timm_name(timm_name)
    try:
        model: nn.Module = timm.create_model(timm_name, pretrained=False, **kwargs)
    except RuntimeError as error:
        if "Invalid pretrained tag" not in str(error):
            raise
        raise PqvError(f"unknown timm model {timm_name!r}: {first_line(error)}") from error
    return model


def set_image_size(model: nn.Module, size: tuple[int, int]) -> None:
    """Make a timm model take images of another size; it resamples its positions itself.

    Args:
        model: changed in place.
        size: height and width.

    Raises:
        PqvError: the patches do not divide the size, or the model cannot take it.
    """
    patch: Any = next((m.patch_size for m in model.modules() if hasattr(m, "patch_size")), 1)
    patch = (patch, patch) if isinstance(patch, int) else patch
    for length, part in zip(size, patch, strict=True):
        if length % part:
            below = length - length % part
            near = f"s are {below} and {below + part}" if below else f" is {part}"
            raise PqvError(
                f"patches of {part} pixels do not divide images of {length}: the nearest size{near}"
            )
    resize: Any = getattr(model, "set_input_size", None)
    if resize is not None:
        try:
            resize(img_size=size)
        except (RuntimeError, ValueError, AssertionError) as error:
            sentence = first_line(error)
            raise PqvError(f"timm cannot make it for {size[0]} x {size[1]}: {sentence}") from error
    else:  # it takes any size
        cfg: Any = getattr(model, "pretrained_cfg", {})
        channels = cfg.get("input_size", (3,))[0]
        model.pretrained_cfg = {**cfg, "input_size": (channels, *size)}  # type: ignore[assignment]


def random_images(config: ModelConfig, count: int) -> Tensor:
    """Normalised images of uniform random pixels, float32 [count, C, H, W]."""
    mean = torch.tensor(config.preprocessing.mean)[:, None, None]
    std = torch.tensor(config.preprocessing.std)[:, None, None]
    pixels = torch.rand(count, config.backbone.in_chans, *config.backbone.img_size)
    return (pixels - mean) / std


@torch.no_grad()
def randomize(model: nn.Module) -> None:
    """Draw the weights of a float model so that every layer's output has a spread of about 1."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.normal_(std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                module.bias.normal_(std=0.1)
        elif isinstance(module, nn.LayerNorm):
            module.weight.normal_(mean=1.0, std=0.2)
            module.bias.normal_(std=0.1)
    for name, parameter in model.named_parameters():
        if name.endswith(("_token", "pos_embed", "gamma", "bias_table")):
            parameter.normal_(std=0.5)
