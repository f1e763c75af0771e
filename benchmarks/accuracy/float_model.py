"""The float models of the ablation: per seed two, start and teacher of all other rows."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import save
from timm.models import VisionTransformer
from torch import Tensor

from pqv_onnx.demo.train import Schedule, fit
from pqv_onnx.files import write_atomically
from pqv_onnx.train.scenes import MEAN, MODEL_NAME, STD, load_scenes

OUTLIERS, WIDTH = 2, 32  # channels, and how many times as wide as the others they begin
SCHEDULE = Schedule(epochs=16, learning_rate=2e-3, warmup_epochs=1, batch_size=128)


def normalized(images: Tensor, generator: torch.Generator) -> Tensor:
    """Uint8 scenes as the model's input; scenes are varied enough without augmentation."""
    return (images.float() / 255 - MEAN) / STD


def widen(model: VisionTransformer) -> None:
    """Make the first channels of the residual stream outliers, by all that writes to it.

    Of trained models of full size some are tens of times as wide as the others; small ones
    grow none by themselves.
    """
    writers = [model.patch_embed.proj]
    for block in model.blocks:
        writers += [block.attn.proj, block.mlp.fc2]
    with torch.no_grad():
        for layer in writers:
            layer.weight[:OUTLIERS] *= WIDTH
            layer.bias[:OUTLIERS] *= WIDTH
        for tokens in (model.cls_token, model.pos_embed):
            tokens[..., :OUTLIERS] *= WIDTH


def train_float(path: Path, seed: int, schedule: Schedule, *, outliers: bool) -> None:
    """Train the float model and write its weights to ``path``, unless they are there."""
    if path.is_file():
        return
    torch.manual_seed(seed)
    model = timm.create_model(MODEL_NAME)
    if outliers:
        widen(model)
    title = f"float, seed {seed}"
    fit(model, load_scenes("train"), schedule, seed=seed, title=title, prepare=normalized)
    write_atomically(path, save(model.state_dict()))
