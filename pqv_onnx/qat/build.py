"""Calibrated models without training, for tests of everything behind it."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.calibration import calibrate
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.convert import convert_to_qat
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.spec import QuantSpec

_CALIBRATION_IMAGES = 8


def build_random_qat(
    timm_name: str, spec: QuantSpec, seed: int, images: Tensor | None = None
) -> QuantModel:
    """Build a timm model with random weights, and calibrate it.

    The weights are drawn wider than timm's initial ones, so that attention is not flat and
    every step and channel differs, as in a trained model.

    Args:
        timm_name: the name in timm of a supported model.
        spec: the quantization scheme.
        seed: seed of the weights and of the images; the global generator is left alone.
        images: normalised images to calibrate on, [B, C, H, W]; random ones by default.

    Returns:
        A calibrated model in evaluation mode.

    Raises:
        PqvError: the name is unknown or the model is not supported.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_timm(timm_name)
        randomize(model)
        try:
            quantized = convert_to_qat(model, spec)
        except PqvError as error:
            raise PqvError(f"{timm_name}: {error}") from error
        if images is None:
            images = random_images(quantized.config, _CALIBRATION_IMAGES)
    calibrate(quantized, images)
    return quantized.eval()


def create_timm(timm_name: str, **kwargs: Any) -> nn.Module:
    """Create a timm model with its initial weights; raises PqvError if timm has no such name."""
    if not timm.is_model(timm_name):
        raise PqvError(f"unknown timm model {timm_name!r}")
    model: nn.Module = timm.create_model(timm_name, pretrained=False, **kwargs)
    return model


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
