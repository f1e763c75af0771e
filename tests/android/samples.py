"""Models, images and what Python makes of them, in a folder for the tests in a JVM.

Arrays are raw files of little-endian numbers; metadata are lines of a name and a value in base64.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import ExifTags, Image

import pqv_onnx
from pqv_onnx.android.archive import make_zip
from pqv_onnx.graph import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.runtime.labels import best_classes
from pqv_onnx.runtime.preprocess import ModelInput
from tests.runner.test_images import entries_of, picture, save_identity
from tests.runtime.hostile import BAD_FIELDS, EXTREMES

IMAGES = 100
LABELS = ("fire truck", "blé", "zebra", "lamp", "boat")
CHANGES: dict[str, dict[str, Any]] = {
    "float": {},
    "bilinear": {"interpolation": "bilinear", "crop_pct": 1.0},
    "lanczos": {"interpolation": "lanczos", "input": "uint8"},
    "nhwc": {"input": "uint8", "layout": "nhwc", "input_size": [3, 20, 28], "crop_pct": 0.875},
    "grey": {"input_size": [1, 28, 20], "mean": [0.3], "std": [0.4]},
    "padded": {"input_size": [3, 40, 40], "crop_pct": 1.5},
    "oddly padded": {"input_size": [3, 24, 24], "crop_pct": 1.15},
    "squashed": {"input_size": [3, 20, 28], "crop_mode": "squash"},
    "whole": {"input": "image", "layout": "hwc"},
    "whole grey": {
        "input": "image",
        "layout": "hwc",
        "input_size": [1, 9, 9],
        "mean": [0.3],
        "std": [0.4],
    },
}
"""How images are prepared: what differs from ``entries_of``."""

SIZES = [(50, 37), (13, 17), (24, 24), (300, 31), (31, 299), (26, 27), (2, 3), (3, 200)]


def write_samples(folder: Path, qat: Any, exported: Path, embedder: Any) -> None:
    """Fill the folder.

    Args:
        folder: an empty one.
        qat: a calibrated classifier of 16 x 16 pixels and five classes.
        exported: its file with float input.
        embedder: a calibrated model of a unit embedding.
    """
    for i in range(IMAGES):
        width, height = np.random.default_rng(i).integers(9, 120, 2)
        picture("RGB", int(width), int(height)).save(folder / f"{i}.png")
    classifier = convert_to_integer(qat)
    export_onnx(classifier, folder / "uint8.onnx", input="uint8")
    export_onnx(classifier, folder / "image.onnx", input="image", top_k=2)
    shutil.copy(exported, folder / "float.onnx")
    for name in ("float", "uint8", "image"):
        path = folder / f"{name}.onnx"
        _set_metadata(path, path, {"pqv.labels": "\n".join(LABELS)})
        _write_outputs(path)
    _set_metadata(exported, folder / "embedding.onnx", {"pqv.task": "embedding"})
    _write_outputs(folder / "embedding.onnx")
    export_onnx(convert_to_integer(embedder), folder / "codes.onnx", embedding="int8")
    _write_outputs(folder / "codes.onnx")
    _write_answers(folder)
    _write_special_images(folder)
    _write_prepared(folder)
    _write_wrong_models(folder)
    assets = {f"assets/{path.name}": path.read_bytes() for path in folder.glob("*.onnx")}
    (folder / "models.apk").write_bytes(make_zip(assets))
    lines = [f"{name}\t{_encode(value)}\t{_encode(words)}" for name, value, words in BAD_FIELDS]
    (folder / "bad fields").write_text("\n".join(lines))
    lines = [f"{name}\t{_encode(value)}" for name, value in EXTREMES]
    (folder / "extremes").write_text("\n".join(lines))
    _write_entries(folder / "good fields", entries_of())


def _write_outputs(path: Path) -> None:
    """The first output of a model for each of the images, one behind the other, as float32."""
    session = pqv_onnx.InferenceSession(path)
    entries = session.get_modelmeta().custom_metadata_map
    wanted = ModelInput.from_metadata(entries)
    given, first = session.get_inputs()[0].name, session.get_outputs()[0].name
    outputs = np.concatenate(
        [
            session.run([first], {given: wanted.load(path.with_name(f"{i}.png"))})[0]
            for i in range(IMAGES)
        ]
    )
    step = np.float32(entries["pqv.embedding_scale"] if outputs.dtype == np.int8 else 1)
    (outputs.astype(np.float32) * step).tofile(path.with_suffix(".raw"))


def _write_prepared(folder: Path) -> None:
    """A folder for each of ``CHANGES``: metadata, and the input that each image becomes."""
    for width, height in SIZES:
        picture("RGB", width, height).save(folder / f"{width} x {height}.png")
    for name, changes in CHANGES.items():
        (folder / name).mkdir()
        entries = entries_of(**changes)
        _write_entries(folder / name / "metadata", entries)
        for width, height in SIZES:
            image = f"{width} x {height}"
            made = ModelInput.from_metadata(entries).load(folder / f"{image}.png")
            made.tofile(folder / name / image)


def _write_answers(folder: Path) -> None:
    """The three best classes of each image, as the class Classification prints them."""
    logits = np.fromfile(folder / "float.raw", np.float32).reshape(IMAGES, -1)
    lines = [
        f"{best['class']} {best['label']} {100 * best['probability']:.1f}%"
        for one in logits
        for best in best_classes(one, 3, LABELS)
    ]
    (folder / "answers").write_text("\n".join(lines))


def _write_special_images(folder: Path) -> None:
    """Images beside the ordinary ones, each with its logits in the file of its name."""
    turned = Image.open(folder / "0.png").transpose(Image.Transpose.ROTATE_270)
    images = {
        "grey.png": picture("L", 50, 40),
        "alpha.png": picture("RGBA", 50, 40),
        "huge.png": Image.fromarray(np.tile(np.asarray(picture("RGB", 100, 75)), (40, 40, 1))),
        "turned.png": turned,
        "photo.jpg": picture("RGB", 120, 80),
    }
    on_its_side = Image.Exif()
    on_its_side[ExifTags.Base.Orientation] = 6
    session = pqv_onnx.InferenceSession(folder / "float.onnx")
    wanted = ModelInput.from_metadata(session.get_modelmeta().custom_metadata_map)
    for name, image in images.items():
        image.save(folder / name, compress_level=1, exif=on_its_side if "jpg" in name else None)
        (logits,) = session.run(None, {"images": wanted.load(folder / name)})
        logits.tofile((folder / name).with_suffix(".logits"))


def _write_wrong_models(folder: Path) -> None:
    good = folder / "float.onnx"
    _set_metadata(good, folder / "newer.onnx", {"pqv.op_domain_version": "2"})
    _set_metadata(good, folder / "no labels.onnx", {"pqv.labels": None})
    _set_metadata(good, folder / "few labels.onnx", {"pqv.labels": "a\nb"})
    _set_metadata(good, folder / "other type.onnx", {"pqv.input": "uint8"})
    _set_metadata(good, folder / "other size.onnx", {"pqv.input_size": "[3, 24, 24]"})
    save_identity(folder / "not ours.onnx", {}, [1, 3, 24, 24])
    save_identity(folder / "standard.onnx", entries_of() | {"pqv.format": "float"})
    (folder / "broken.onnx").write_bytes(good.read_bytes()[:5000])
    _set_metadata(good, folder / "tokens.onnx", {"pqv.task": "tokens"})
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:40])
    (folder / "text.png").write_text("no image")


def _set_metadata(source: Path, target: Path, changes: Mapping[str, str | None]) -> None:
    """A model with entries changed, or taken out where they are None."""
    model = onnx.load(source)
    entries: dict[str, str | None] = {entry.key: entry.value for entry in model.metadata_props}
    changed = {key: value for key, value in {**entries, **changes}.items() if value is not None}
    onnx.helper.set_model_props(model, changed)
    onnx.save(model, target)


def _write_entries(path: Path, entries: Mapping[str, str]) -> None:
    path.write_text("\n".join(f"{name}\t{_encode(value)}" for name, value in entries.items()))


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
