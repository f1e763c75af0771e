"""The float models of the ablation: one per seed, start and teacher of all other rows."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors.torch import save
from torch import Tensor

from pqv_onnx.demo.train import Schedule, fit
from pqv_onnx.files import write_atomically
from pqv_onnx.train.scenes import MEAN, MODEL_NAME, STD, load_scenes

SCHEDULE = Schedule(epochs=16, learning_rate=2e-3, warmup_epochs=1, batch_size=128)


def normalized(images: Tensor, generator: torch.Generator) -> Tensor:
    """Uint8 scenes as the model's input; scenes are varied enough without augmentation."""
    return (images.float() / 255 - MEAN) / STD


def train_float(path: Path, seed: int, schedule: Schedule = SCHEDULE) -> None:
    """Train the float model and write its weights to ``path``, unless they are there."""
    if path.is_file():
        return
    torch.manual_seed(seed)
    model = timm.create_model(MODEL_NAME)
    title = f"float, seed {seed}"
    fit(model, load_scenes("train"), schedule, seed=seed, title=title, prepare=normalized)
    write_atomically(path, save(model.state_dict()))
