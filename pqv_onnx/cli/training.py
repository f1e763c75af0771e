"""Options that calibrate, train and eval share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqv_onnx.cli.options import MAX_SEED, MAX_THREADS

if TYPE_CHECKING:
    from pqv_onnx.train.models import FloatSource


class Task(StrEnum):
    """What a model gives; see `convert_to_qat`."""

    logits = "logits"
    embedding = "embedding"
    unit_embedding = "unit_embedding"
    tokens = "tokens"
    features = "features"


ImportOption = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Registers models or datasets, repeatable."),
]
DataOption = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder of the data set, with its splits.")
]
DatasetOption = Annotated[
    str,
    typer.Option(help="timm's name of the data set (hfds/..., wds/...); default: image folders."),
]
WeightsOption = Annotated[
    Path | None, typer.Option(help="Float weights: .safetensors, .pth or .pt.")
]
RandomOption = Annotated[
    int | None,
    typer.Option(min=0, max=MAX_SEED, metavar="SEED", help="Random float weights."),
]
PretrainedOption = Annotated[
    bool, typer.Option("--pretrained", help="timm's pretrained float weights, downloaded.")
]
ClassesOption = Annotated[
    int | None,
    typer.Option(
        "--num-classes",
        metavar="N",
        min=1,
        max=2**40,  # no memory has so many rows, and torch counts their bytes in 64 bits
        help="Exchange the head for a new, random one.",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Names of the classes, one a line. Default: of the folders in --data; ImageNet's.",
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        help="What the model is to give; by default logits if it has a head. Features: maps of "
        "four depths, [B, H, W, C], as detectors and segmenters take them."
    ),
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="No reconstruction: faster, and less exact.")
]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Updates of each part of the model.")]
SeedOption = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the choice of images.")]
WorkersOption = Annotated[
    int, typer.Option(min=0, max=MAX_THREADS, help="Processes that load images.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images at a time.")]


def float_source(
    weights: Path | None,
    seed: int | None,
    pretrained: bool,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
) -> FloatSource:
    """The float model's weights, at most one kind of them."""
    from pqv_onnx.train.models import FloatSource

    source = FloatSource(weights, seed, pretrained, size, classes)
    if source.given > 1:
        raise typer.BadParameter("give one of --weights, --random-weights and --pretrained")
    return source
