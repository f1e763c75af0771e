"""``pqv eval``: the accuracy of models of every kind over the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import onnxruntime
import typer
from rich.table import Table

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.cli.training import (
    BatchOption,
    ClassesOption,
    DataOption,
    DatasetOption,
    ImportOption,
    PretrainedOption,
    RandomOption,
    WorkersOption,
    float_source,
)
from pqv_onnx.errors import PqvError
from pqv_onnx.files import absolute, check_writable
from pqv_onnx.graph.accuracy import StatedAccuracy, write_accuracy
from pqv_onnx.text import decimals

if TYPE_CHECKING:
    import torch

    from pqv_onnx.train.evaluate import Accuracy, Subject
    from pqv_onnx.train.models import FloatSource


def command(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Float weights, QAT checkpoints, .onnx files."),
    ],
    data: DataOption = None,
    dataset: DatasetOption = "",
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "validation",
    model: Annotated[str | None, typer.Option(help="timm name of the float weights.")] = None,
    random_weights: RandomOption = None,
    pretrained: PretrainedOption = False,
    classes: ClassesOption = None,
    integer: Annotated[
        bool, typer.Option("--integer", help="Of QAT checkpoints, the integer model, too.")
    ] = False,
    functions: Annotated[
        bool, typer.Option("--functions", help="Of .onnx files, without the op library, too.")
    ] = False,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    modules: ImportOption = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write-accuracy", help="Write its top-1 into each .onnx file, pqv.accuracy."
        ),
    ] = False,
    data_name: Annotated[
        str | None,
        typer.Option(help="What the files call the data. Default: data set or folder, and split."),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Top-1 and top-5 of models over the same images, made in the same way.

    With float weights among them (a file, or --pretrained or --random-weights with --model) also
    how near each other model is to the first of these: images of the same class, cosine of the
    logits (mean over the images) and their signal to quantization noise ratio.

    Several processes share the images: `accelerate launch -m pqv_onnx.cli.main eval ...`

    Example: `pqv eval deit.pth qat.safetensors m.onnx --model deit_tiny_patch16_224
    --integer --data imagenet`, or `pqv eval m.onnx --data imagenet --write-accuracy`
    """
    source = float_source(None, random_weights, pretrained, classes=classes)
    if source.given and model is None:
        raise typer.BadParameter("--random-weights and --pretrained need --model")
    targets = _targets(models, write, data_name)
    check_json(json_file, *models)
    with status.working("importing torch"):
        from pqv_onnx.train.data import Split
        from pqv_onnx.train.engine import add_over, make_accelerator, share_of
        from pqv_onnx.train.evaluate import evaluate_split, is_labelled
        from pqv_onnx.train.models import import_modules
    import_modules(modules or [])
    accelerator = make_accelerator()
    subjects = _subjects(models, model, source, integer, functions, accelerator.device)
    images = Split(dataset, data, split, workers)
    if targets and not (subjects[0].classes and is_labelled(images)):
        raise PqvError("--write-accuracy needs models with classes, and images in their folders")
    with Bars(accelerator.is_main_process) as bars:
        found = evaluate_split(
            subjects,
            images,
            batch_size,
            share=share_of(accelerator),
            add=add_over(accelerator),
            progress=bars.stage,
        )
    if accelerator.is_main_process:
        console.print(_table(found))
        name = data_name or f"{dataset or absolute(data or '').name}, {split}"
        results = [accuracy.to_dict() for accuracy in found]
        write_json(json_file, {"processes": accelerator.num_processes, "results": results})
        _write(targets, found, name)
    accelerator.end_training()


def _targets(models: list[Path], write: bool, data_name: str | None) -> list[Path]:
    """The files to write an accuracy into; fails before the work if there are none."""
    if not write:
        if data_name is not None:
            raise typer.BadParameter("--data-name goes with --write-accuracy")
        return []
    targets = [path for path in models if path.suffix.lower() == ".onnx"]
    if not targets:
        raise PqvError(f"--write-accuracy is for .onnx files, found {', '.join(map(str, models))}")
    if data_name is not None and not data_name.strip():
        raise typer.BadParameter("--data-name is empty")
    return [check_writable(path) for path in targets]


def _subjects(
    paths: list[Path],
    timm_name: str | None,
    source: FloatSource,
    integer: bool,
    functions: bool,
    device: torch.device,
) -> list[Subject]:
    from pqv_onnx.train.evaluate import float_subject, subjects_of

    found = []
    if source.given and timm_name is not None:
        found.append(float_subject(f"{timm_name}, {source}", source.load(timm_name), device))
    for path in paths:
        found += subjects_of(path, timm_name, integer=integer, functions=functions, device=device)
    return found


def _write(targets: list[Path], found: list[Accuracy], data_name: str) -> None:
    """Write what onnxruntime gave into the files."""
    runtime = f"onnxruntime {onnxruntime.__version__}"
    for path in targets:
        own = next(a for a in found if a.name == str(path) and a.kind.startswith("onnx"))
        stated = StatedAccuracy(own.top1, own.images, data_name, runtime)
        write_accuracy(path, stated)
        console.print(f"{path}: states {stated}")


def _table(found: list[Accuracy]) -> Table:
    columns = ["top-1, %", "top-5, %"]
    compared = next((a.agreement for a in found if a.agreement), None)
    title = f"{found[0].images} images"
    if compared:
        columns += ["same class, %", "cosine", "SQNR, dB"]
        title += f", compared with {compared.reference}"
    table = Table("model", "kind", title=title)
    table.columns[0].overflow = "fold"  # rather than cut: paths differ at their ends
    for column in columns:
        table.add_column(column, justify="right")
    for accuracy in found:
        table.add_row(*_cells(accuracy))
    return table


def _cells(accuracy: Accuracy) -> list[str]:
    cells = [accuracy.name, accuracy.kind, decimals(accuracy.top1), decimals(accuracy.top5)]
    if (near := accuracy.agreement) is not None:
        cells += [decimals(near.same), f"{near.cosine:.4f}", f"{near.sqnr:.1f}"]
    return cells
