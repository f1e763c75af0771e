"""``pqv export``: a checkpoint, or random weights, to one ``.onnx`` file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pqv_onnx.cli.options import (
    MAX_SEED,
    ImageSizeOption,
    JsonOption,
    SchemeOption,
    check_json,
    console,
    image_size,
    megabytes,
    quant_spec,
    write_json,
)
from pqv_onnx.cli.progress import status
from pqv_onnx.cli.training import LabelsOption
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_apart, check_writable
from pqv_onnx.graph.summary import inspect_model

if TYPE_CHECKING:
    from pqv_onnx.qat import QuantModel


class Precision(StrEnum):
    """Presets of QuantSpec."""

    w8a8 = "w8a8"
    w7a7 = "w7a7"
    w4a8 = "w4a8"
    w4a4 = "w4a4"


class Format(StrEnum):
    """What the exported file consists of."""

    integer = "integer"
    qdq = "qdq"
    float = "float"


class Input(StrEnum):
    """What the exported model takes."""

    float = "float"
    uint8 = "uint8"
    image = "image"
    encoded = "encoded"


class Output(StrEnum):
    """What the exported model gives."""

    float = "float"
    int8 = "int8"


class Layout(StrEnum):
    """Axis order of uint8 pixels."""

    nhwc = "nhwc"
    nchw = "nchw"


TopKOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="K",
        help="Give the K best classes, too: the outputs probabilities and classes.",
    ),
]


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The .onnx file to write.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A QAT checkpoint.")] = None,
    model: Annotated[str | None, typer.Option(help="timm name, with --random-weights.")] = None,
    random_weights: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_SEED, metavar="SEED", help="Random weights, calibrated on random images."
        ),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Default: the checkpoint's, or w4a4.")
    ] = None,
    schemes: SchemeOption = None,
    size: ImageSizeOption = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="integer: our ops; qdq: QuantizeLinear and DequantizeLinear around float ops, for "
            "other runtimes and NPUs; float: nothing is rounded.",
        ),
    ] = Format.integer,
    input_format: Annotated[
        Input,
        typer.Option(
            "--input",
            help="float: normalised NCHW; uint8: pixels, mean/std inside; image: HWC pixels of any "
            "size, resize and crop inside, too; encoded: a JPEG or PNG file, decoded inside, too, "
            "by onnxruntime-extensions, not as well as outside.",
        ),
    ] = Input.float,
    layout: Annotated[Layout, typer.Option(help="Of uint8 pixels.")] = Layout.nhwc,
    output_format: Annotated[
        Output,
        typer.Option(
            "--embedding",
            help="int8: a unit embedding as codes, for vector stores; metadata tell their step.",
        ),
    ] = Output.float,
    top_k: TopKOption = None,
    fuse: Annotated[
        bool,
        typer.Option(
            "--fuse/--no-fuse",
            help="Attention as one op, and a matmul with its GELU, or their parts.",
        ),
    ] = True,
    labels: LabelsOption = None,
    author: Annotated[str | None, typer.Option(help="Written into the file.")] = None,
    license: Annotated[str | None, typer.Option(help="Of the weights; written, too.")] = None,
    description: Annotated[
        str | None, typer.Option(help="A sentence; the default names model, task and size.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Export a quantized model as ONNX: in integers, or in standard ops (--format).

    Example: `pqv export --checkpoint qat.safetensors -o m.onnx`, or
    `pqv export --model deit_tiny_patch16_224 --random-weights 0 --precision w4a4 -o m.onnx`
    """
    if (checkpoint is None) == (model is None):
        raise typer.BadParameter("give either --checkpoint or --model with --random-weights")
    if (model is None) != (random_weights is None):
        raise typer.BadParameter("--model and --random-weights go together")
    if checkpoint is not None and schemes:
        raise typer.BadParameter("--scheme goes with --random-weights, a checkpoint has its own")
    if checkpoint is not None and size is not None:
        raise typer.BadParameter("--image-size goes with --model, a checkpoint has its own")
    ends: dict[str, Any] = {"input": input_format.value, "layout": layout.value, "top_k": top_k}
    if form is not Format.integer and output_format is not Output.float:
        raise typer.BadParameter("--embedding int8 goes with --format integer, others have none")
    pixels = image_size(size)
    spec = quant_spec((precision or Precision.w4a4).value, schemes)
    check_apart(check_writable(output), [checkpoint, labels])
    check_json(json_file, output, checkpoint, labels)
    with status.working("importing torch"):
        from pqv_onnx.graph.export import About, export_qat
        from pqv_onnx.graph.standard import export_standard
        from pqv_onnx.qat import build_random_qat
        from pqv_onnx.train.calibration import name_classes
    with status.working("building the model"):
        if checkpoint is not None:
            qat = _load_qat(checkpoint, precision)
        else:
            assert model is not None and random_weights is not None
            qat = build_random_qat(model, spec, random_weights, size=pixels)
        if labels is not None:
            name_classes(qat, labels)
    with status.working("exporting"):
        ends["about"] = About(author, license, description)
        if form is Format.integer:
            export_qat(qat, output, embedding=output_format.value, fuse=fuse, **ends)
        else:
            export_standard(qat, output, "qdq" if form is Format.qdq else "float", **ends)
    summary = inspect_model(output)
    written = f"{output}: {megabytes(summary['file_bytes'])}"
    if form is not Format.integer:
        console.print(f"{written}, standard ops, {form.value}")
    else:
        console.print(
            f"{written}, {summary['macs']['total'] / 1e6:.1f} M MACs, "
            f"{len(summary['float_nodes'])} float nodes inside"
        )
    write_json(json_file, {"output": str(output), **summary})


def _load_qat(checkpoint: Path, precision: Precision | None) -> QuantModel:
    from pqv_onnx.checkpoint import load_qat

    loaded = load_qat(checkpoint)
    spec = loaded.config.spec
    if precision is not None and precision.value != spec.base:
        raise PqvError(f"{checkpoint} is {spec.name}, --precision {precision.value} was asked for")
    return loaded
