"""`python -m benchmarks.accuracy.pretrained.exactness`: is what is trained what runs?

A fake-quantized model of full size and its exported file have to give the same logits, to the bit,
for every image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import torch
import typer
from rich.progress import track
from torch import nn

from benchmarks.accuracy.pretrained.data import load_images
from benchmarks.accuracy.pretrained.model import OUTPUT, load_model
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, calibrate, convert_to_qat
from pqv_onnx.runtime.session import InferenceSession, session_options
from pqv_onnx.spec import PRESETS, QuantSpec
from pqv_onnx.train.models import FloatSource

_BATCH = 10


class Comparison(NamedTuple):
    """Of one model at one precision: images, and how many of them have other logits."""

    model: str
    precision: str
    images: int
    different: int


def models(head_images: int | None) -> Iterator[tuple[str, nn.Module, int]]:
    """A name, a model and its image size: DINOv2's weights, and random ones of DeiT-Tiny."""
    yield "vit_small_patch14_dinov2", load_model(output=OUTPUT, head_images=head_images), 112
    yield "deit_tiny_patch16_224", FloatSource(seed=0).load("deit_tiny_patch16_224"), 224


@torch.no_grad()
def compare(
    name: str, model: nn.Module, size: int, precision: str, steps: int, images: int, threads: int
) -> Comparison:
    """Quantize a model, export it, and run both forms over test images."""
    quantized = convert_to_qat(model, QuantSpec.preset(precision))
    options = Calibration.of(quick=not steps, steps=steps)
    calibrate(quantized, load_images("train", 64, image_size=size)[0], options)
    path = make_folder(OUTPUT / "exactness") / f"{name}.{precision}.onnx"
    export_onnx(convert_to_integer(quantized.eval()), path)
    session = InferenceSession(path, session_options(threads))
    (entry,) = session.get_inputs()
    pixels, _ = load_images("test", images, image_size=size)
    different = 0
    for part in track(pixels.split(_BATCH), f"{name}, {precision}", transient=True):
        (found,) = session.run(None, {entry.name: part.numpy()})
        different += int((torch.from_numpy(found) != quantized(part)).any(1).sum())
    return Comparison(name, precision, len(pixels), different)


def main(
    images: Annotated[int, typer.Option(min=1, help="Test images of each model.")] = 1000,
    steps: Annotated[
        int, typer.Option(min=0, help="Updates of each half block in reconstruction.")
    ] = 0,
    head_images: Annotated[
        int | None, typer.Option(min=1, help="Fit the head on so many, unless it is already.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Count the images whose logits differ; exit status 1 if there is one."""
    torch.set_num_threads(threads)
    total = 0
    try:
        for name, model, size in models(head_images):
            for precision in PRESETS:
                found = compare(name, model, size, precision, steps, images, threads)
                typer.echo(f"{name}, {precision}: {found.images} images, {found.different} differ")
                total += found.different
    except PqvError as error:
        typer.echo(f"error: {error}")
        raise typer.Exit(1) from None
    raise typer.Exit(total > 0)


if __name__ == "__main__":
    typer.run(main)
