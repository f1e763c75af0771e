"""``pqv quantize``: one command from a model's name to a folder that an app can take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.cli.export import TopKOption
from pqv_onnx.cli.options import (
    ImageSizeOption,
    JsonOption,
    check_json,
    console,
    image_size,
    megabytes,
    write_json,
)
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.cli.training import (
    BatchOption,
    ClassesOption,
    DataOption,
    DatasetOption,
    ImportOption,
    LabelsOption,
    PretrainedOption,
    QuickOption,
    RandomOption,
    SeedOption,
    StepsOption,
    TaskOption,
    WeightsOption,
    WorkersOption,
)
from pqv_onnx.text import decimals

if TYPE_CHECKING:
    from pqv_onnx.workflow.quantize import Candidate


class Input(StrEnum):
    """What apps of every kind can give a model."""

    float = "float"
    uint8 = "uint8"
    image = "image"


class Precision(StrEnum):
    """Presets of QuantSpec, and weights of 4 and 8 bits, whichever a layer needs."""

    w4a4 = "w4a4"
    w4a8 = "w4a8"
    mixed = "mixed"
    w7a7 = "w7a7"
    w8a8 = "w8a8"


def command(
    model: Annotated[
        str, typer.Argument(metavar="NAME|CHECKPOINT", help="A name of timm, or a QAT checkpoint.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to make.")],
    data: DataOption = None,
    dataset: DatasetOption = "",
    weights: WeightsOption = None,
    random_weights: RandomOption = None,
    pretrained: PretrainedOption = False,
    classes: ClassesOption = None,
    size: ImageSizeOption = None,
    labels: LabelsOption = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Default: w8a8, or the checkpoint's.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Take the first of w4a4, w4a8, mixed, w7a7 and w8a8 that loses at most so many "
            "points of top-1, or of images that keep their class if they have no labels.",
        ),
    ] = None,
    task: TaskOption = None,
    input_format: Annotated[
        Input,
        typer.Option(
            "--input",
            help="float: normalised NCHW; uint8: pixels, NHWC; image: HWC pixels of any size.",
        ),
    ] = Input.uint8,
    top_k: TopKOption = None,
    quick: QuickOption = False,
    steps: StepsOption = None,
    images: Annotated[int, typer.Option(min=1, help="How many images to calibrate on.")] = 256,
    evaluation_images: Annotated[
        int, typer.Option("--eval-images", min=1, help="How many others to evaluate on, at most.")
    ] = 1000,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    seed: SeedOption = 0,
    modules: ImportOption = None,
    json_file: JsonOption = None,
) -> None:
    """Quantize a model on your images: calibrate, export, verify, evaluate, time, write a card.

    The folder has model.onnx, the checkpoint, report.json and README.md. --data is a folder with
    train/ and validation/, or one folder of images, of which a part is held out; the names of
    folders are the classes' labels. A run that was stopped goes on when it is given again.

    Example: `pqv quantize deit_tiny_patch16_224 --pretrained --data photos --max-drop 1.0 -o out`
    """
    check_json(json_file, Path(model), weights, labels)
    with status.working("importing torch"):
        from pqv_onnx.train.models import import_modules
        from pqv_onnx.workflow.folder import unfinished
        from pqv_onnx.workflow.options import Options
        from pqv_onnx.workflow.quantize import quantize
    import_modules(modules or [])
    options = Options(
        data=data,
        dataset=dataset,
        weights=weights,
        random_weights=random_weights,
        pretrained=pretrained,
        num_classes=classes,
        image_size=image_size(size),
        precision=None if precision is None else precision.value,
        max_drop=max_drop,
        labels=labels,
        task=None if task is None else task.value,
        input=input_format.value,
        top_k=top_k,
        images=images,
        evaluation_images=evaluation_images,
        quick=quick,
        steps=steps,
        batch_size=batch_size,
        workers=workers,
        seed=seed,
    )
    tried: list[Candidate] = []
    try:
        with Bars() as bars:
            report = quantize(model, output, options, progress=bars.stage, tried=tried.append)
    except KeyboardInterrupt:
        if (part := unfinished(output)).exists():
            status.print(f"stopped: the same command goes on from {part}", soft_wrap=True)
        raise
    finally:
        if max_drop is not None and tried:
            console.print(_frontier(tried, max_drop))
    _show(output, report)
    write_json(json_file, report)


def _frontier(tried: list[Candidate], max_drop: float) -> Table:
    table = Table(title=f"{tried[0].accuracy.images} images, at most {max_drop} points lost")
    for heading in ("precision", "file", "top-1, %", "same class, %", "points lost"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for one in tried:
        near = one.accuracy.agreement
        same = decimals(near.same) if near else ""
        top1, drop = decimals(one.accuracy.top1), decimals(one.drop)
        table.add_row(one.precision, megabytes(one.size), top1, same, drop)
    for precision in list(Precision)[len(tried) :]:
        table.add_row(precision.value, "not needed")
    return table


def _show(output: Path, report: dict[str, Any]) -> None:
    table = Table(title=f"{report['model']}, {report['quantized']['images']} images")
    for heading in ("", "top-1, %", "same class, %", "cosine", "SQNR, dB", "ms", "memory", "file"):
        whole = heading in ("memory", "file")  # a number and its unit
        table.add_column(heading, justify="right" if heading else "left", no_wrap=whole)
    for name, title in (("float", "float"), ("quantized", report["precision"])):
        found = report[name]
        if found is None:
            continue
        near = found["agreement"] or {}
        table.add_row(
            title,
            *(decimals(value) for value in (found["top1"], near.get("same"))),
            decimals(near.get("cosine"), 4),
            decimals(near.get("sqnr"), 1),
            f"{report['latency_ms'][name]['median']:.2f}",
            megabytes(report["memory_bytes"][name]),
            megabytes(report["bytes"][name]),
        )
    console.print(table)
    console.print(f"{output}: model.onnx is bit-exact; README.md says more")
