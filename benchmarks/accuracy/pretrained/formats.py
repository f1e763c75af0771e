"""`python -m benchmarks.accuracy.pretrained.formats`: one quantized model in each file format."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import numpy as np
import onnxruntime
import torch
import typer
from rich.console import Console
from rich.progress import track
from torch import Tensor

from benchmarks.accuracy.pretrained.data import batches, load_images, load_pixels
from benchmarks.accuracy.pretrained.evaluate import openvino_model
from benchmarks.accuracy.pretrained.model import HEAD_IMAGES, OUTPUT, load_model
from pqv_onnx.bench.turns import take_turns
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, make_folder
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.standard import export_standard
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.runtime.session import InferenceSession, session_options
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.sensitivity import distance

console = Console(highlight=False, markup=False, soft_wrap=True)
Run = Callable[[np.ndarray], np.ndarray]
"""Normalised images to logits."""


class Way(NamedTuple):
    """A file on a runtime."""

    name: str
    run: Run

    def time(self, runs: int) -> list[float]:
        """Seconds of each of so many runs on one image."""
        image, found = np.zeros((1, 3, 112, 112), np.float32), []
        for _ in range(runs):
            started = time.perf_counter()
            self.run(image)
            found.append(time.perf_counter() - started)
        return found


class Result(NamedTuple):
    """What the table has of a way."""

    name: str
    top1: float
    same_class: float
    sqnr: float
    milliseconds: float


def calibrated(precision: str, quick: bool, count: int) -> QuantModel:
    """The pretrained model, quantized on so many training images."""
    model = load_model(112, OUTPUT, head_images=HEAD_IMAGES, progress=console.print)
    made = convert_to_qat(model, QuantSpec.preset(precision))
    images = load_images("train", count, 0, image_size=112)[0]
    calibrate(made, images, Calibration.of(quick=quick))
    return made.eval()


def ways(model: QuantModel, folder: Path, threads: int) -> list[Way]:
    """The float file first, then what is made of the quantized model."""
    paths = {form: folder / f"{form}.onnx" for form in ("float", "integer", "qdq")}
    export_standard(model, paths["float"], "float")
    export_standard(model, paths["qdq"], "qdq")
    export_onnx(convert_to_integer(model), paths["integer"])
    options, plain = session_options(threads), ["CPUExecutionProvider"]
    return [
        _onnx("float", onnxruntime.InferenceSession(paths["float"], options, plain)),
        _onnx("integer", InferenceSession(paths["integer"], session_options(threads))),
        _onnx("QDQ, onnxruntime", onnxruntime.InferenceSession(paths["qdq"], options, plain)),
        _openvino("QDQ, OpenVINO", paths["qdq"], threads),
    ]


def _onnx(name: str, session: onnxruntime.InferenceSession) -> Way:
    return Way(name, lambda images: session.run(None, {"images": images})[0])


def _openvino(name: str, path: Path, threads: int) -> Way:
    model = openvino_model(path, threads)
    return Way(name, lambda images: np.array(model([images])[0]))


def compare(found: list[Way], pixels: Tensor, classes: Tensor, runs: int) -> list[Result]:
    """Score each way beside the first."""
    logits = []
    for way in found:
        parts = track(batches(pixels, 20), way.name, len(pixels) // 20)
        logits.append(torch.cat([torch.from_numpy(way.run(part.numpy())) for part in parts]))
    times = take_turns(found, warmup=3, runs=runs)
    reference = logits[0].argmax(1)
    return [
        Result(
            way.name,
            _percent(own.argmax(1) == classes),
            _percent(own.argmax(1) == reference),
            distance(logits[0], own).sqnr,
            1000 * median(seconds),
        )
        for way, own, seconds in zip(found, logits, times, strict=True)
    ]


def _percent(right: Tensor) -> float:
    return 100 * right.double().mean().item()


def main(
    precision: Annotated[str, typer.Option(help="w8a8, w4a8 or w4a4.")] = "w8a8",
    quick: Annotated[bool, typer.Option("--quick", help="Without reconstruction.")] = False,
    test_images: Annotated[int, typer.Option(min=1)] = 1000,
    calibration_images: Annotated[int, typer.Option(min=1)] = 256,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of each, in turns.")] = 50,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    output: Annotated[Path, typer.Option("-o", "--output")] = OUTPUT / "formats.csv",
) -> None:
    """Compare the integer file with the same model as QDQ on other runtimes."""
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        folder = make_folder(OUTPUT / "formats" / precision)
        check_writable(output)
        found = ways(calibrated(precision, quick, calibration_images), folder, threads)
        images = load_pixels("test", test_images, 0, image_size=112)
        results = compare(found, *images, runs)
    except PqvError as error:
        console.print(f"error: {error}")
        raise typer.Exit(1) from None
    with output.open("w", newline="") as file:
        csv.writer(file).writerows([Result._fields, *results])
    for each in results:
        console.print(
            f"{each.name}: top-1 {each.top1:.2f}, same class {each.same_class:.2f}, "
            f"SQNR {each.sqnr:.1f} dB, {each.milliseconds:.2f} ms"
        )


if __name__ == "__main__":
    typer.run(main)
