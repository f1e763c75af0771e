"""``pqv eval``: the accuracy of models of every kind over the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
from pqv_onnx.cli.training import (
    BatchOption,
    DataOption,
    DatasetOption,
    ImportOption,
    WorkersOption,
    progress_bar,
    status,
)

if TYPE_CHECKING:
    from pqv_onnx.train.evaluate import Accuracy


def command(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Float weights, QAT checkpoints, .onnx files."),
    ],
    data: DataOption = None,
    dataset: DatasetOption = "",
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "validation",
    model: Annotated[str | None, typer.Option(help="timm name of the float weights.")] = None,
    integer: Annotated[
        bool, typer.Option("--integer", help="Of QAT checkpoints, the integer model, too.")
    ] = False,
    functions: Annotated[
        bool, typer.Option("--functions", help="Of .onnx files, without the op library, too.")
    ] = False,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    modules: ImportOption = None,
    json_file: JsonOption = None,
) -> None:
    """Top-1 and top-5 of models over the same images, made in the same way.

    Several processes share the images: `accelerate launch -m pqv_onnx.cli.main eval ...`

    Example: `pqv eval deit.pth qat.safetensors m.onnx --model deit_tiny_patch16_224
    --integer --data imagenet`
    """
    check_json(json_file)
    with status.status("importing torch"):
        from pqv_onnx.train.data import Split, eval_batches
        from pqv_onnx.train.engine import add_over, make_accelerator, share_of
        from pqv_onnx.train.evaluate import common_preprocessing, evaluate, subjects_of
        from pqv_onnx.train.models import import_modules
    import_modules(modules or [])
    accelerator = make_accelerator()
    subjects = [
        subject
        for path in models
        for subject in subjects_of(
            path, model, integer=integer, functions=functions, device=accelerator.device
        )
    ]
    batches, count = eval_batches(
        Split(dataset, data, split, workers),
        common_preprocessing(subjects),
        subjects[0].classes,
        batch_size,
        share=share_of(accelerator),
    )
    with progress_bar(accelerator.is_main_process) as bar:
        task = bar.add_task("evaluating", total=count or None)
        found = evaluate(
            subjects,
            batches,
            add=add_over(accelerator),
            progress=lambda images: bar.advance(task, images),
        )
    if accelerator.is_main_process:
        console.print(_table(found))
        results = [accuracy.to_dict() for accuracy in found]
        write_json(json_file, {"processes": accelerator.num_processes, "results": results})
    accelerator.end_training()


def _table(found: list[Accuracy]) -> Table:
    table = Table("model", "kind", "top-1, %", "top-5, %", title=f"{found[0].images} images")
    table.columns[2].justify = table.columns[3].justify = "right"
    table.columns[0].overflow = "fold"  # rather than cut: paths differ at their ends
    for accuracy in found:
        table.add_row(accuracy.name, accuracy.kind, f"{accuracy.top1:.2f}", f"{accuracy.top5:.2f}")
    return table
