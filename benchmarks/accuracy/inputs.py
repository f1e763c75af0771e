"""Exported files with each kind of input on the same photos, beside timm's own transform.

    python -m benchmarks.accuracy.inputs -o build/inputs

The model is the pretrained backbone of `benchmarks.accuracy.pretrained` at W8A8 with a head for the
classes of `benchmarks.accuracy.photos`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import PIL
import torch
from timm.data import create_transform, resolve_data_config

import pqv_onnx
from benchmarks.accuracy.photos import CLASSES, QUARTERS, Photo, make_photos
from benchmarks.accuracy.pretrained.backbone import backbone_path, create_model, read_backbone
from benchmarks.accuracy.pretrained.model import fit_head
from pqv_onnx.files import make_folder, write_atomically
from pqv_onnx.graph.export import export_qat
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.spec import QuantSpec

Run = Callable[[Photo], np.ndarray]
"""A photo to logits [1, classes]."""
_TRAINING, _CALIBRATION = 900, 64


@dataclass(frozen=True)
class Row:
    """One kind of input.

    Attributes:
        name: of the input.
        top1: in percent.
        same: photos of the class that the plain file gives with timm's transform, in percent.
        picture: photos whose class is of the same picture, at least, in percent.
        equal: photos whose logits have the very bits, in percent.
        furthest: largest difference of a pixel; None where the pixels are not known.
        differing: values of pixels that differ, in percent.
    """

    name: str
    top1: float
    same: float
    picture: float
    equal: float
    furthest: int | None = None
    differing: float | None = None


def evaluate(model: QuantModel, folder: Path, photos: Sequence[Photo]) -> list[Row]:
    """Export a model with each input, run the photos through, and compare.

    Args:
        model: calibrated.
        folder: where the files go.
        photos: with their classes.
    """
    for name in ("float", "uint8", "image", "encoded"):
        export_qat(model, folder / f"{name}.onnx", input=name)
    reference = _plain(folder / "float.onnx", model)
    expected = np.concatenate([reference(photo) for photo in photos])
    labels = np.array([photo.label for photo in photos])
    rows = [_row("float, timm's transform", expected, expected, labels)]
    for name in ("uint8", "image", "encoded"):
        run = _own(folder / f"{name}.onnx")
        found = np.concatenate([run(photo) for photo in photos])
        row = _row(name, found, expected, labels)
        if name != "uint8":
            furthest, differing = _pixels(folder / f"{name}.onnx", photos)
            row = replace(row, furthest=furthest, differing=differing)
        rows.append(row)
    return rows


def _row(name: str, found: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> Row:
    classes, wanted = found.argmax(1), expected.argmax(1)
    return Row(
        name,
        100 * float((classes == labels).mean()),
        100 * float((classes == wanted).mean()),
        100 * float((classes // QUARTERS == wanted // QUARTERS).mean()),
        100 * float((found == expected).all(1).mean()),
    )


def _plain(path: Path, model: QuantModel) -> Run:
    """The plain file behind timm's own transform."""
    wanted = model.config.input
    transform = create_transform(
        (wanted.channels, wanted.height, wanted.width),
        mean=wanted.mean,
        std=wanted.std,
        crop_pct=wanted.crop_pct,
        crop_mode=wanted.crop_mode,
        interpolation=wanted.interpolation,
    )
    session = pqv_onnx.InferenceSession(path)
    return lambda photo: session.run(None, {"images": transform(photo.open())[None].numpy()})[0]


def _own(path: Path) -> Run:
    """A file behind what its metadata ask for."""
    session = pqv_onnx.InferenceSession(path)
    wanted = ModelInput.from_metadata(session.get_modelmeta().custom_metadata_map)
    (given,) = session.get_inputs()
    return lambda photo: session.run(None, {given.name: wanted.load(photo.path)})[0]


def _pixels(path: Path, photos: Sequence[Photo]) -> tuple[int, float]:
    """How far the pixels that a file makes are from Pillow's, and how many differ, in percent."""
    model = onnx.load(path)
    (pixels,) = (value for value in model.graph.value_info if value.name == "pixels")
    del model.graph.output[:]
    model.graph.output.append(pixels)
    session = pqv_onnx.InferenceSession(model.SerializeToString())
    entries = session.get_modelmeta().custom_metadata_map
    wanted, (given,) = ModelInput.from_metadata(entries), session.get_inputs()
    resized = replace(wanted, input="uint8", layout="nchw")
    differences = [
        np.abs(
            session.run(None, {given.name: wanted.load(photo.path)})[0].astype(int)
            - resized.load(photo.path)
        )
        for photo in photos
    ]
    every = np.concatenate([difference.ravel() for difference in differences])
    return int(every.max()), 100 * float((every > 0).mean())


def make_model(folder: Path, image_size: int) -> QuantModel:
    """The pretrained backbone with a head for the photos' classes, at W8A8, calibrated."""
    backbone = read_backbone(backbone_path())
    photos = make_photos(make_folder(folder / "training"), _TRAINING, seed=1)
    extractor, model = (
        create_model(backbone, image_size),
        create_model(backbone, image_size, CLASSES),
    )
    transform = create_transform(**resolve_data_config(model=model))
    images = torch.stack([transform(photo.open()) for photo in photos])
    with torch.no_grad():
        features = torch.cat([extractor(batch) for batch in images.split(25)])
    fit_head(model.head, features.numpy(), np.array([photo.label for photo in photos]))
    quantized = convert_to_qat(model, QuantSpec.preset("w8a8"))
    calibrate(quantized, images[:_CALIBRATION], Calibration.of(quick=True))
    return quantized.eval()


def table(rows: Sequence[Row], count: int) -> str:
    """The rows in Markdown."""
    lines = [
        f"| {count} photos | top-1, % | same class, % | same picture, % | same logits, % | "
        "pixels that differ, % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        pixels = ""
        if row.differing is not None:
            pixels = f"{row.differing:.3f}, by {row.furthest} at most"
        numbers = " | ".join(
            f"{value:.1f}" for value in (row.top1, row.same, row.picture, row.equal)
        )
        lines.append(f"| {row.name} | {numbers} | {pixels} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("build/inputs"))
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=112)
    options = parser.parse_args()
    folder = make_folder(options.output)
    model = make_model(folder, options.image_size)
    photos = make_photos(make_folder(folder / "photos"), options.photos, seed=0)
    rows = evaluate(model, folder, photos)
    print(table(rows, len(photos)))
    print(f"onnxruntime {onnxruntime.__version__}, Pillow {PIL.__version__}")
    result = {"photos": len(photos), "rows": [asdict(row) for row in rows]}
    write_atomically(folder / "inputs.json", (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
