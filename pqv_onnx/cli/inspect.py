"""``pqv inspect``: what a graph or a checkpoint consists of, and pictures of what it quantizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.cli.export import Precision
from pqv_onnx.cli.options import (
    JsonOption,
    SchemeOption,
    check_json,
    console,
    megabytes,
    quant_spec,
    write_json,
)
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.cli.training import (
    BatchOption,
    DataOption,
    DatasetOption,
    ImportOption,
    WorkersOption,
)
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_folder, make_folder
from pqv_onnx.graph.accuracy import StatedAccuracy
from pqv_onnx.graph.summary import inspect_model

if TYPE_CHECKING:
    from torch import Tensor

    from pqv_onnx.qat import QuantModel


def command(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="An .onnx file, a QAT checkpoint, float weights."),
    ],
    batch: Annotated[int, typer.Option(min=1, help="Batch size to count with.")] = 1,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write pictures of a checkpoint's distributions to DIR."),
    ] = None,
    data: DataOption = None,
    dataset: DatasetOption = "",
    split: Annotated[str, typer.Option(help="Split to take images from.")] = "train",
    timm_name: Annotated[
        str | None, typer.Option("--model", help="timm name of the float weights.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="That float weights are calibrated for.")
    ] = Precision.w4a4,
    schemes: SchemeOption = None,
    images: Annotated[int, typer.Option(min=1, help="How many images to use.")] = 64,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of images.")] = 0,
    modules: ImportOption = None,
    json_file: JsonOption = None,
) -> None:
    """Show a model's ops, float nodes between the borders, MACs, weights, metadata.

    Of a checkpoint, its scheme and the bits of its weights; with --plots, on some images, also
    attention.png, gelu.png and residual.png: the values before their quantization, and the codes
    for them. Float weights are calibrated first.

    Example: `pqv inspect m.onnx`, or
    `pqv inspect run/last.safetensors --plots figures --data imagenet`
    """
    check_json(json_file, model)
    if model.suffix.lower() == ".onnx":
        if plots is not None:
            raise PqvError(f"{model}: --plots is for checkpoints and float weights")
        result = inspect_model(model, batch)
        _show(result)
        write_json(json_file, result)
        return
    if plots is not None:
        check_folder(plots)
    spec = quant_spec(precision.value, schemes)
    with status.working("importing torch"):
        from pqv_onnx.checkpoint import SUFFIXES, is_qat, load_float, load_qat
        from pqv_onnx.qat import calibrate, convert_to_qat
        from pqv_onnx.train.calibration import read_images
        from pqv_onnx.train.data import Split
        from pqv_onnx.train.models import import_modules
    import_modules(modules or [])

    calibrated = is_qat(model)
    if calibrated:
        quantized = load_qat(model)
    elif plots is not None and timm_name is not None:
        quantized = convert_to_qat(load_float(model, timm_name), spec)
    elif model.suffix not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise PqvError(f"{model}: is neither an .onnx file nor a checkpoint ({kinds})")
    else:
        raise PqvError(f"{model}: no QAT checkpoint; of float weights give --plots and --model")
    result = _describe(quantized)
    if calibrated:
        _show_checkpoint(result)
    if plots is not None:
        found = Split(dataset, data, split, workers)
        inputs = read_images(quantized.config, found, images, batch_size, seed)
        if not calibrated:
            with status.working("calibrating"):
                calibrate(quantized, inputs)
        result["plots"] = _plot(quantized.eval(), inputs, plots)
    write_json(json_file, result)


def _describe(model: QuantModel) -> dict[str, Any]:
    spec = model.config.spec
    layers = model.block_layers()
    return {
        "model": model.config.backbone.architecture,
        "precision": spec.name,
        "scheme": spec.to_dict(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_accuracy": model.config.accuracy,
        "weight_bits": {name: layer.quantizer.bits for name, layer in layers.items()},
    }


def _plot(model: QuantModel, inputs: list[Tensor], folder: Path) -> list[str]:
    from pqv_onnx.train.figures import write_figures
    from pqv_onnx.train.observe import observe

    with Bars() as bar:
        task = bar.add_task("observing", total=sum(map(len, inputs)))
        seen = observe(model, inputs, lambda count: bar.advance(task, count))
    title = f"{model.config.backbone.architecture}, {model.config.spec.name}"
    paths = write_figures(make_folder(folder), seen, title)
    for path in paths:
        console.print(str(path))
    return [str(path) for path in paths]


def _show_checkpoint(result: dict[str, Any]) -> None:
    console.print(f"model        {result['model']}")
    console.print(f"precision    {result['precision']}")
    console.print(f"parameters   {result['parameters'] / 1e6:.2f} M")
    if result["training_accuracy"] is not None:
        console.print(f"top-1        {100 * result['training_accuracy']:.2f}% in training")
    _show_bits(result["weight_bits"])


def _show_bits(bits: dict[str, int]) -> None:
    """The bits of the layers inside the blocks, a block per row, where they are not all equal."""
    blocks: dict[str, dict[str, int]] = {}
    for name, count in bits.items():
        if found := re.fullmatch(r"(.*\d)\.(.+)", name):
            blocks.setdefault(found[1], {})[found[2]] = count
    if len({count for layers in blocks.values() for count in layers.values()}) < 2:
        return
    columns = list(dict.fromkeys(layer for layers in blocks.values() for layer in layers))
    table = Table("bits of weights", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for block, layers in blocks.items():
        table.add_row(block, *(str(layers.get(layer, "")) for layer in columns))
    console.print(table)


def _show(result: dict[str, Any]) -> None:
    ops = Table("domain", "op", "nodes", "MMACs")
    ops.columns[2].justify = ops.columns[3].justify = "right"
    for domain, counts in result["ops"].items():
        for name, count in counts.items():
            macs = result["macs"].get(name)
            ops.add_row(domain, name, str(count), f"{macs / 1e6:.1f}" if macs else "")
    console.print(ops)
    _show_bits(result["weight_bits"])
    weights = ", ".join(f"{kind} {megabytes(n)}" for kind, n in result["weight_bytes"].items())
    stated = StatedAccuracy(**result["accuracy"]) if result["accuracy"] else "not stated"
    console.print(f"top-1               {stated}")
    console.print(f"file                {megabytes(result['file_bytes'])}")
    console.print(f"MACs                {result['macs']['total'] / 1e6:.1f} M")
    console.print(f"constants           {weights}")
    console.print(f"activation peak     {megabytes(result['activation_peak_bytes'])}")
    console.print(f"float nodes inside  {len(result['float_nodes'])}")
    for name in result["float_nodes"]:
        console.print(f"  {name}")
    console.print("metadata")
    for key, value in result["metadata"].items():
        shown = value if len(value) <= 200 else value[:197] + "..."
        console.print(f"  {key}: {shown}")
