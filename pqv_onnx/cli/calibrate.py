"""``pqv calibrate``: a float checkpoint and a few hundred images to a quantized model."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.cli.export import Precision
from pqv_onnx.cli.options import (
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
    float_source,
)
from pqv_onnx.files import check_apart
from pqv_onnx.spec import QuantSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pqv_onnx.train.sensitivity import Sensitivity


def command(
    model: Annotated[str, typer.Option(help="timm name.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The .safetensors to write; else --sensitivity only."),
    ] = None,
    data: DataOption = None,
    dataset: DatasetOption = "",
    split: Annotated[str, typer.Option(help="Split to take images from.")] = "train",
    weights: WeightsOption = None,
    random_weights: RandomOption = None,
    pretrained: PretrainedOption = False,
    classes: ClassesOption = None,
    labels: LabelsOption = None,
    precision: Annotated[Precision, typer.Option()] = Precision.w4a4,
    schemes: SchemeOption = None,
    task: TaskOption = None,
    size: ImageSizeOption = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Show how much 4-bit weights hurt in each layer.")
    ] = False,
    size_budget: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Choose each layer's 4 or 8 bits so that the weights take at most so many MB, or "
            "such a share of their 8-bit size: 4.5, 60%.",
        ),
    ] = None,
    bias_correction: Annotated[
        bool,
        typer.Option(
            "--bias-correction/--no-bias-correction",
            help="Choose biases that keep every layer's mean output the float model's.",
        ),
    ] = True,
    quick: QuickOption = False,
    steps: StepsOption = None,
    images: Annotated[int, typer.Option(min=1, help="How many images to use.")] = 256,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    seed: SeedOption = 0,
    modules: ImportOption = None,
    json_file: JsonOption = None,
) -> None:
    """Quantize a float model on some images without labels.

    Steps are chosen; then each half block learns to give what the float model's gives, unless
    --quick is given. A run that was stopped goes on where it was when it is given again. The
    result can be exported, or trained further with `pqv train --calibrated`.

    With --size-budget (and --sensitivity, which only shows the table) the weights of each layer
    get 4 bits where it costs least, and the activations are those of --precision.

    Example: `pqv calibrate --model deit_tiny_patch16_224 --weights deit.pth --data imagenet
    --precision w8a8 --size-budget 60% -o mixed.safetensors`
    """
    source = float_source(weights, random_weights, pretrained, image_size(size), classes)
    if not source.given:
        raise typer.BadParameter("give --weights, --random-weights or --pretrained")
    if output is None and (size_budget is not None or not sensitivity):
        raise typer.BadParameter("give --output")
    spec = quant_spec(precision.value, schemes)
    budget = None if size_budget is None else _parse_size(size_budget)
    check_json(json_file, output, weights, labels)
    with status.working("importing torch"):
        from pqv_onnx.checkpoint import check_name
        from pqv_onnx.qat import Calibration, convert_to_qat
        from pqv_onnx.qat.build import refusing
        from pqv_onnx.train.calibration import calibrate_to, name_classes, read_images
        from pqv_onnx.train.data import Split
        from pqv_onnx.train.models import import_modules
    if output is not None:
        check_name(output)
        check_apart(output, [weights])
    import_modules(modules or [])
    float_model = source.load(model)
    gives = None if task is None else task.value
    with refusing(model):
        quantized = convert_to_qat(float_model, spec, task=gives)
    source_split = Split(dataset, data, split, workers)
    name_classes(quantized, labels, source_split)
    with Bars() as bars:
        inputs = read_images(
            quantized.config, source_split, images, batch_size, seed, progress=bars.stage
        )
    used = sum(map(len, inputs))
    result: dict[str, Any] = {"model": model, "images": used, "seed": seed}
    if sensitivity or budget is not None:
        bits, analysis = _analyse(float_model, spec, inputs, budget)
        names = quantized.config.labels
        quantized = convert_to_qat(
            float_model, replace(spec, weight_bits=bits), labels=names, task=gives
        )
        result |= analysis
    if output is not None:
        options = Calibration.of(
            quick=quick, steps=steps, seed=seed, bias_correction=bias_correction
        )
        with Bars() as bars:
            calibrate_to(output, quantized, inputs, options, bars.stage)
        name = quantized.config.spec.name
        console.print(f"{output}: {model}, {name}, calibrated on {used} images")
        result |= {"output": str(output), "precision": name}
    write_json(json_file, result)


def _parse_size(text: str) -> tuple[float, bool]:
    """A number of ``--size-budget``, and whether it is a share of the 8-bit size in percent."""
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%").removesuffix("MB"))
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"--size-budget is {text!r}, expected MB or percent: 4.5, 60%")
    return value, share


def _analyse(
    float_model: nn.Module, spec: QuantSpec, inputs: list[Tensor], budget: tuple[float, bool] | None
) -> tuple[dict[str, int], dict[str, Any]]:
    """Measure and show the layers' sensitivity; their bits for the budget, and all as JSON."""
    from pqv_onnx.train.calibration import analyse
    from pqv_onnx.train.sensitivity import assign_bits

    with Bars() as bars:
        found = analyse(float_model, spec, inputs, bars.stage)
    bits = {}
    if budget is not None:
        value, share = budget
        bits = assign_bits(found, int(found.largest * value / 100 if share else value * 1e6))
    console.print(_table(found, bits))
    chosen = {"weight_bits": bits, "weight_bytes": found.size(bits)} if bits else {}
    return bits, {"sensitivity": asdict(found), **chosen}


def _table(found: Sensitivity, bits: dict[str, int]) -> Table:
    table = Table("layer", "8 bits", "4 bits", "KL", "more KL", "SQNR, dB")
    table.columns[0].overflow = "fold"  # rather than cut: names differ at their ends
    for column in table.columns[1:]:
        column.justify = "right"
    if bits:
        table.add_column("chosen", justify="right")
    table.add_row(
        "8 bits everywhere", megabytes(found.largest), megabytes(found.smallest),
        f"{found.base.kl:.2e}", "", f"{found.base.sqnr:.1f}",
        *([megabytes(found.size(bits))] if bits else []), end_section=True,
    )  # fmt: skip
    for layer in found.layers:
        table.add_row(
            layer.name, megabytes(layer.bytes8), megabytes(layer.bytes4),
            f"{layer.distance.kl:.2e}", f"{layer.error:.2e}", f"{layer.distance.sqnr:.1f}",
            *([f"{bits[layer.name]} bits"] if bits else []),
        )  # fmt: skip
    return table
