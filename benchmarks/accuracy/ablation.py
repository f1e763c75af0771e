"""Accuracy of every technique on cluttered scenes: see benchmarks/accuracy/README.md.

`python -m benchmarks.accuracy.ablation -o build/accuracy` trains all rows for all seeds, one
result after the other into results.csv, which a second run goes on from; then it writes
ablation.md and ablation.png.
"""

from __future__ import annotations

import csv
from copy import deepcopy
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from torch import nn

from benchmarks.accuracy.float_model import SCHEDULE, normalized, train_float
from benchmarks.accuracy.report import write_report
from benchmarks.accuracy.rows import ROWS, Row
from benchmarks.end_to_end.folders import ROOT
from pqv_onnx.checkpoint import load_float, load_qat, save_qat
from pqv_onnx.demo.train import Schedule, fit
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import QuantModel
from pqv_onnx.train.calibration import student
from pqv_onnx.train.data import Split, eval_batches
from pqv_onnx.train.engine import LAST, Report, Trainer, make_accelerator
from pqv_onnx.train.evaluate import Subject, evaluate, float_subject, onnx_subject, torch_subject
from pqv_onnx.train.recipe import Recipe, Train, load_recipe
from pqv_onnx.train.scenes import MODEL_NAME, load_scenes

RECIPES = ROOT / "export" / "recipes"
FIELDS = ("float_model", "precision", "row", "seed", "fake_quantized", "onnxruntime")
console = Console()


def main(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of results.")],
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of every row.")] = 3,
    steps: Annotated[int, typer.Option(help="End every training so early, to try it.")] = 0,
    threads: Annotated[int, typer.Option(help="Of torch.")] = 2,
) -> None:
    """Train, export and evaluate every row for every seed."""
    torch.set_num_threads(threads)
    make_folder(output)
    results = output / "results.csv"
    for seed in range(seeds):
        for row in ROWS:
            if (*row.key, str(seed)) in _known(results):
                continue
            console.print(f"seed {seed}: {' '.join(row.key)}")
            _append(results, row, seed, *run_row(row, seed, output, steps))
    write_report(results, output)


def run_row(row: Row, seed: int, output: Path, steps: int) -> tuple[float, float | None]:
    """Top-1 in percent of the torch model, and of onnxruntime where there is an integer model."""
    weights = output / f"float.{row.float_model}.{seed}.safetensors"
    schedule = Schedule(epochs=1, learning_rate=2e-3) if steps else SCHEDULE
    train_float(weights, seed, schedule, outliers=row.float_model == "outliers")
    float_model = load_float(weights, MODEL_NAME)
    recipe = recipe_of(row, seed, steps)
    if row.precision == "float":
        if row.trained:
            float_model = _trained_on(recipe.train, float_model)
        return _top1([float_subject("float", float_model)])[0], None
    folder = output / f"{' '.join(row.key)} {seed}"
    folder.mkdir(exist_ok=True)
    model = _quantized(recipe, float_model, folder, row.trained)
    export_onnx(convert_to_integer(load_qat(folder / LAST)), folder / "model.onnx")
    shared = (model.config.backbone.num_classes, model.config.input)
    fake = torch_subject("fake-quantized", "fake-quantized", model, *shared)
    found = _top1([fake, onnx_subject(folder / "model.onnx", use_library=True)])
    return found[0], found[1]


def recipe_of(row: Row, seed: int, steps: int) -> Recipe:
    """The recipe of a row; ``steps`` as in `main`."""
    changes = dict(row.changes) | {"train.seed": str(seed), "train.max_steps": str(steps)}
    # A float model is trained on as W4A4 is, to tell quantization from more training.
    name = f"{MODEL_NAME}.{'w4a4' if row.precision == 'float' else row.precision}.toml"
    return load_recipe(RECIPES / name, [f"{key}={value}" for key, value in changes.items()])


def _trained_on(train: Train, float_model: nn.Module) -> nn.Module:
    """A copy of the float model, trained with the loss and the schedule of a recipe."""
    model = deepcopy(float_model)
    schedule = Schedule(train.epochs, train.optimizer.lr, 0, batch_size=train.batch_size)
    fit(
        model,
        load_scenes("train"),
        schedule,
        seed=train.seed,
        title="float, trained on",
        teacher=None if train.distillation.kind == "none" else float_model,
        prepare=normalized,
    )
    return model


def _quantized(recipe: Recipe, float_model: nn.Module, folder: Path, trained: bool) -> QuantModel:
    """The calibrated, and if asked for trained, model; its checkpoint is in ``folder``."""
    train = recipe.train
    split = Split(train.data.dataset, None, train.data.train_split)
    model = student(recipe, float_model, split)
    if not trained:
        save_qat(folder / LAST, model)
        return model
    teacher = None if train.distillation.kind == "none" else float_model
    report = Report(epoch=lambda row: console.print(f"  loss {row['loss']:.4f} {row['top1']:.2f}%"))
    accelerator = make_accelerator()
    trainer = Trainer(recipe, model, teacher, None, folder, accelerator, report)
    trainer.run()
    return trainer.snapshot()


def _top1(subjects: list[Subject]) -> list[float]:
    """Top-1 in percent of models over the test scenes."""
    first = subjects[0]
    split = Split("scenes", None, "test")
    batches, _ = eval_batches(split, first.preprocessing, first.classes, 64)
    return [accuracy.top1 for accuracy in evaluate(subjects, batches)]


def _known(results: Path) -> set[tuple[str, ...]]:
    if not results.is_file():
        return set()
    with results.open(newline="") as file:
        return {tuple(line[field] for field in FIELDS[:4]) for line in csv.DictReader(file)}


def _append(results: Path, row: Row, seed: int, fake: float, integer: float | None) -> None:
    new = not results.is_file()
    with results.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(FIELDS)
        whole = "" if integer is None else f"{integer:.4f}"
        writer.writerow([*row.key, seed, f"{fake:.4f}", whole])


if __name__ == "__main__":
    try:
        typer.run(main)
    except PqvError as failure:
        raise SystemExit(f"error: {failure}") from failure
