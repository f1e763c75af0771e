"""``pqv calibrate``: a float checkpoint and a few hundred images to a quantized model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pqv_onnx.cli.export import Precision
from pqv_onnx.cli.options import (
    JsonOption,
    SchemeOption,
    check_json,
    console,
    quant_spec,
    write_json,
)
from pqv_onnx.cli.training import (
    BatchOption,
    DataOption,
    DatasetOption,
    ImportOption,
    PretrainedOption,
    RandomOption,
    WeightsOption,
    WorkersOption,
    float_source,
    progress_bar,
    status,
)
from pqv_onnx.files import check_writable


def command(
    model: Annotated[str, typer.Option(help="timm name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors to write.")],
    data: DataOption = None,
    dataset: DatasetOption = "",
    split: Annotated[str, typer.Option(help="Split to take images from.")] = "train",
    weights: WeightsOption = None,
    random_weights: RandomOption = None,
    pretrained: PretrainedOption = False,
    precision: Annotated[Precision, typer.Option()] = Precision.w4a4,
    schemes: SchemeOption = None,
    images: Annotated[int, typer.Option(min=1, help="How many images to use.")] = 256,
    batch_size: BatchOption = 32,
    workers: WorkersOption = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of images.")] = 0,
    modules: ImportOption = None,
    json_file: JsonOption = None,
) -> None:
    """Quantize a float model without training: choose its steps on some images.

    The result can be exported, or trained further with `pqv train --calibrated`.

    Example: `pqv calibrate --model deit_tiny_patch16_224 --weights deit.pth --data imagenet
    --precision w8a8 -o w8a8.safetensors`
    """
    source = float_source(weights, random_weights, pretrained)
    if not source.given:
        raise typer.BadParameter("give --weights, --random-weights or --pretrained")
    spec = quant_spec(precision.value, schemes)
    check_writable(output)
    check_json(json_file)
    with status.status("importing torch"):
        from pqv_onnx.checkpoint import save_qat
        from pqv_onnx.train.calibration import quantize
        from pqv_onnx.train.data import Split
        from pqv_onnx.train.models import import_modules
    import_modules(modules or [])
    float_model = source.load(model)
    with progress_bar() as bar:
        task = bar.add_task("calibrating", total=images)
        quantized = quantize(
            float_model,
            spec,
            Split(dataset, data, split, workers),
            images=images,
            batch_size=batch_size,
            seed=seed,
            progress=lambda count: bar.advance(task, count),
        )
        used = int(bar.tasks[task].completed)
    save_qat(output, quantized)
    console.print(f"{output}: {model}, {spec.name}, calibrated on {used} images")
    result = {"model": model, "precision": spec.name, "images": used, "seed": seed}
    write_json(json_file, {"output": str(output), **result})
