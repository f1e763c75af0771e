"""Runs of the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import striped
import torch

from pqv_onnx.qat import QuantModel
from pqv_onnx.train import calibration
from pqv_onnx.train.data import Split
from pqv_onnx.train.engine import Report, Trainer, make_accelerator
from pqv_onnx.train.models import FloatSource
from pqv_onnx.train.recipe import Recipe, load_recipe

RECIPE = f"""
model = "{striped.NAME}"
precision = "w4a4"
imports = ["striped"]

[train]
epochs = 2
batch_size = 4
accumulation = 2
calibration_images = 8
ema = 0.9
data = {{ workers = 0 }}
optimizer = {{ lr = 1e-3 }}
distillation = {{ kind = "soft", weight = 0.5, temperature = 2.0 }}

[train.augmentation]
auto_augment = "rand-m9-mstd0.5-inc1"
random_erasing = 0.25
mixup = 0.8
cutmix = 1.0
"""


def recipe(folder: Path, *changes: str) -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text(RECIPE)
    return load_recipe(path, changes)


def student(made: Recipe, root: Path) -> QuantModel:
    split = Split("", str(root), "train")
    return calibration.student(made, FloatSource(seed=0).load(made.model), split)


def trainer(made: Recipe, root: Path, output: Path, **kwargs: Any) -> Trainer:
    teacher = None
    if made.train.distillation.kind != "none":
        teacher = FloatSource(seed=0).load(made.model)
    output.mkdir(parents=True, exist_ok=True)
    accelerator = make_accelerator(made.train.mixed_precision)
    model = student(made, root)
    return Trainer(made, model, teacher, str(root), output, accelerator, Report(**kwargs))


def same_state(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    # Steps that are not chosen yet are NaN.
    same = (torch.equal(a[key].nan_to_num(), b[key].nan_to_num()) for key in a)
    return a.keys() == b.keys() and all(same)
