"""`python -m benchmarks.accuracy.pretrained.neighbours`: embeddings and nearest neighbours."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file, save
from torch import Tensor, nn

from benchmarks.accuracy.pretrained.data import load_images, load_pixels, preprocessing
from benchmarks.accuracy.pretrained.model import HEAD_IMAGES, OUTPUT, load_model
from pqv_onnx.checkpoint import load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, make_folder, write_atomically
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.calibration import Watcher
from pqv_onnx.runtime.session import InferenceSession, session_options
from pqv_onnx.spec import PRESETS, QuantSpec
from pqv_onnx.train.transforms import normalise

console = Console(highlight=False, markup=False, soft_wrap=True)
_BATCH = 20
Predict = Callable[[Tensor], Tensor]
"""Normalised images [N, 3, H, W] to embeddings [N, C]."""


class Embeddings(NamedTuple):
    """Of gallery and queries, float [N, C]."""

    gallery: Tensor
    queries: Tensor


def embed(predict: Predict, images: Tensor, title: str) -> Tensor:
    """Embeddings of uint8 pixels [N, H, W, 3], a batch at a time."""
    wanted = preprocessing(images.shape[1])
    parts = track(images.split(_BATCH), title)
    return torch.cat([predict(normalise(part, wanted)) for part in parts])


def of_float(model: nn.Module) -> Predict:
    """What makes embeddings with the float model."""

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        features = model.forward_features(images)
        out: Tensor = model.forward_head(features, pre_logits=True)
        return out

    return predict


def of_file(path: Path, threads: int) -> Predict:
    """What makes embeddings with an exported file."""
    session = InferenceSession(path, session_options(threads))
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def quantized(
    model: nn.Module, images: Tensor, precision: str, quick: bool, known: Path | None, path: Path
) -> None:
    """Calibrate the model without its head, and write its file.

    Args:
        model: the float model.
        images: to calibrate on.
        precision: a preset's name.
        quick: whether nothing is reconstructed.
        known: a checkpoint of the model with its head, of which all but the last part is taken.
        path: of the file.
    """
    made = convert_to_qat(model, QuantSpec.preset(precision), task="embedding")
    watcher = Watcher() if known is None else _behind(made, load_qat(known))
    calibrate(made, images, Calibration.of(quick=quick), watcher)
    export_onnx(convert_to_integer(made.eval()), path)


def _behind(made: QuantModel, known: QuantModel) -> Watcher:
    """What goes on where only the norm and what is behind it are left to calibrate."""
    own, found = made.state_dict(), known.state_dict()
    state = {name: found.get(name, value) for name, value in own.items()}
    return Watcher(finished=len(made.segments()) - 1, state=state)


def top1(found: Embeddings, classes: tuple[Tensor, Tensor]) -> float:
    """Queries whose nearest neighbour by cosine has their class, in percent."""
    gallery, queries = (nn.functional.normalize(part, dim=1) for part in found)
    nearest = (queries @ gallery.T).argmax(1)
    return 100 * (classes[0][nearest] == classes[1]).double().mean().item()


def rows(
    precisions: list[str],
    quick: bool,
    known: Path | None,
    gallery: int,
    queries: int,
    calibration: int,
    threads: int,
) -> Iterator[tuple[str, float, float, float]]:
    """Of float and each precision: name, top-1, median cosine to float, minutes of calibration."""
    model = load_model(112, OUTPUT, head_images=HEAD_IMAGES, progress=console.print)
    (g_pixels, g_classes), (q_pixels, q_classes) = (
        load_pixels(split, count, 0, image_size=112)
        for split, count in (("train", gallery), ("test", queries))
    )
    images = load_images("train", calibration, 0, image_size=112)[0]
    folder = make_folder(OUTPUT / "embeddings")

    def both(predict: Predict, name: str) -> Embeddings:
        return Embeddings(embed(predict, g_pixels, name), embed(predict, q_pixels, name))

    kept = folder / f"float_{gallery}_{queries}.safetensors"
    if not kept.is_file():  # it takes minutes
        made = both(of_float(model), "float")
        write_atomically(kept, save(made._asdict()))
    reference = Embeddings(**load_file(kept))
    yield "float", top1(reference, (g_classes, q_classes)), 1.0, 0.0
    for precision in precisions:
        started = time.monotonic()
        path = folder / f"{precision}.onnx"
        quantized(model, images, precision, quick, known, path)
        minutes = (time.monotonic() - started) / 60
        found = both(of_file(path, threads), precision)
        cosine = nn.functional.cosine_similarity(found.queries, reference.queries, dim=1)
        yield precision, top1(found, (g_classes, q_classes)), float(np.median(cosine)), minutes


def main(
    precision: Annotated[list[str] | None, typer.Option(help="Repeatable; by default all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Without reconstruction.")] = False,
    known: Annotated[
        Path | None,
        typer.Option(
            "--calibrated",
            help="A checkpoint of the model with its head: its last part alone is calibrated.",
        ),
    ] = None,
    gallery: Annotated[int, typer.Option(min=1, help="Training images to search.")] = 5000,
    queries: Annotated[int, typer.Option(min=1, help="Test images to search for.")] = 1000,
    calibration_images: Annotated[int, typer.Option(min=1)] = 256,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    output: Annotated[Path, typer.Option("-o", "--output")] = OUTPUT / "neighbours.csv",
) -> None:
    """Measure what quantization does to the embeddings of a pretrained model."""
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        make_folder(OUTPUT)
        check_writable(output)
        found = rows(
            precision or list(PRESETS), quick, known, gallery, queries, calibration_images, threads
        )
        with output.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("precision", "top1", "cosine", "minutes"))
            for name, score, cosine, minutes in found:
                writer.writerow((name, f"{score:.2f}", f"{cosine:.4f}", f"{minutes:.1f}"))
                file.flush()
                console.print(f"{name}: top-1 {score:.2f}, cosine {cosine:.4f}, {minutes:.1f} min")
    except PqvError as error:
        console.print(f"error: {error}")
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
