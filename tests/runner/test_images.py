"""Images as inputs of pqv_run: the pixels of the Python package."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, PngImagePlugin

from pqv_onnx.runtime.preprocess import ModelInput
from tests.cli.conftest import Pqv
from tests.runner.conftest import Run, error_of
from tests.runtime.hostile import BAD_FIELDS, EXTREMES, TOO_LARGE, png_of_size


def entries_of(**changes: Any) -> dict[str, str]:
    """Metadata as export writes it."""
    values = {
        "input_size": [3, 24, 24],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "input": "float",
        "layout": "nchw",
        "crop_mode": "center",
    }
    return {
        f"pqv.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in {**values, **changes}.items()
    }


def save_identity(
    path: Path, entries: dict[str, str], shape: list[int | str] | None = None
) -> None:
    """A model whose output is its input, of a shape or else of that of its metadata."""
    if shape is None:
        channels, height, width = json.loads(entries.get("pqv.input_size", "[3, 24, 24]"))
        nhwc = entries.get("pqv.layout") == "nhwc"
        shape = [1, height, width, channels] if nhwc else [1, channels, height, width]
        if entries.get("pqv.input") == "image":
            shape = ["height", "width", channels]
    is_bytes = entries.get("pqv.input") in ("uint8", "image")
    kind = TensorProto.UINT8 if is_bytes else TensorProto.FLOAT
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, entries)
    onnx.save(model, path)


def picture(mode: str, width: int, height: int) -> Image.Image:
    """Smooth, with noise, so that JPEG has something to do."""
    rng = np.random.default_rng(width * height)
    channels = len(Image.new(mode, (1, 1)).getbands())
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 5 + c) + np.cos(y / (3 + c)) for c in range(channels)], axis=-1)
    pixels = np.clip(127 + 60 * waves + rng.normal(0, 20, waves.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels.squeeze(), mode)


def check_bits(run: Run, entries: dict[str, str], image: Path, tmp_path: Path) -> None:
    save_identity(tmp_path / "identity.onnx", entries)
    done = run("--output", tmp_path / "out.raw", tmp_path / "identity.onnx", image)
    assert done.returncode == 0, done.stderr
    expected = ModelInput.from_metadata(entries).load(image)
    found = np.fromfile(tmp_path / "out.raw", expected.dtype).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)


def need_library(name: str) -> None:
    try:
        ctypes.CDLL(name)
    except OSError:
        pytest.skip(f"this system has no {name}")


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(50, 37), (13, 17), (24, 24), (300, 31), (31, 99), (26, 27)])
def test_resizing(run: Run, interpolation: str, size: tuple[int, int], tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    picture("RGB", *size).save(tmp_path / "x.png")
    for crop in (0.9, 1.0):
        entries = entries_of(interpolation=interpolation, crop_pct=crop, input="uint8")
        check_bits(run, entries, tmp_path / "x.png", tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input": "uint8", "layout": "nhwc", "input_size": [3, 20, 28], "crop_pct": 0.875},
        {"input_size": [1, 28, 20], "mean": [0.3], "std": [0.4]},
        {"input_size": [3, 40, 40], "crop_pct": 1.5},
        {"input_size": [3, 24, 24], "crop_pct": 1.15},
        {"input_size": [3, 20, 28], "crop_mode": "squash"},
        {"input": "image", "layout": "hwc"},
        {"input": "image", "layout": "hwc", "input_size": [1, 9, 9], "mean": [0.3], "std": [0.4]},
    ],
    ids=["float", "nhwc", "grey", "padded", "padded oddly", "squashed", "whole", "whole grey"],
)
def test_modes_and_inputs(run: Run, mode: str, changes: dict[str, Any], tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    image = picture("RGB" if mode == "P" else mode, 61, 43)
    image.convert(mode).save(tmp_path / "x.png")
    check_bits(run, entries_of(**changes), tmp_path / "x.png", tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg(run: Run, mode: str, subsampling: int, tmp_path: Path) -> None:
    need_library("libturbojpeg.so.0")
    picture(mode, 61, 43).save(tmp_path / "x.jpg", quality=90, subsampling=subsampling)
    check_bits(run, entries_of(), tmp_path / "x.jpg", tmp_path)


@pytest.mark.parametrize("gamma", [0.45455, 1.0])
def test_a_png_that_names_its_gamma(run: Run, gamma: float, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    picture("RGB", 61, 43).save(tmp_path / "x.png", pnginfo=info)
    check_bits(run, entries_of(), tmp_path / "x.png", tmp_path)


def test_a_jpeg_with_something_between(run: Run, tmp_path: Path) -> None:
    need_library("libturbojpeg.so.0")
    picture("RGB", 61, 43).save(tmp_path / "x.jpg")
    whole = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(whole[:-2] + b"xyz" + whole[-2:])
    check_bits(run, entries_of(), tmp_path / "x.jpg", tmp_path)
    (tmp_path / "x.jpg").write_bytes(whole[: len(whole) // 2])
    error = error_of(run(tmp_path / "identity.onnx", tmp_path / "x.jpg"))
    assert "x.jpg: not an image that can be read: Premature end" in error


def test_pixels_that_are_none_of_ours(run: Run, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    need_library("libturbojpeg.so.0")
    model = tmp_path / "identity.onnx"
    save_identity(model, entries_of())
    Image.new("I;16", (20, 20)).save(tmp_path / "x.png")
    Image.new("CMYK", (20, 20)).save(tmp_path / "x.jpg")
    for name, reason in (("x.png", "a PNG image of 16 bits"), ("x.jpg", "a JPEG image of CMYK")):
        assert f"{name}: {reason}, expected" in error_of(run(model, tmp_path / name))


def test_what_is_no_image(run: Run, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    model, image = tmp_path / "identity.onnx", tmp_path / "x.png"
    save_identity(model, entries_of())
    assert "missing.png: cannot be read" in error_of(run(model, "missing.png"))
    image.write_bytes(b"GIF89a")
    assert "x.png: neither a JPEG nor a PNG image" in error_of(run(model, image))
    picture("RGB", 20, 20).save(image)
    image.write_bytes(image.read_bytes()[:200])
    assert "x.png: not an image that can be read: " in error_of(run(model, image))


def test_metadata_that_is_missing_or_wrong(run: Run, tmp_path: Path) -> None:
    for entries, reason in [
        ({}, "the model's metadata has no pqv.input_size"),
        (entries_of(input_size=[4, 24, 24]), "the model takes 4 channels, expected 1 or 3"),
        (entries_of(interpolation="nearest"), "the interpolation nearest, which pqv_run lacks"),
    ]:
        save_identity(tmp_path / "identity.onnx", entries)
        assert reason in error_of(run(tmp_path / "identity.onnx", "missing.png"))


def test_the_rules_of_python(run: Run, tmp_path: Path) -> None:
    """Of the metadata: what one refuses, the other refuses, and what one takes, the other takes."""
    need_library("libpng16.so.16")
    model, image = tmp_path / "identity.onnx", tmp_path / "x.png"
    picture("RGB", 20, 20).save(image)
    for name, value, reason in BAD_FIELDS:
        save_identity(model, {**entries_of(), f"pqv.{name}": value}, [1, 3, 24, 24])
        error = error_of(run(model, image))
        assert error.startswith(f"the model's pqv.{name} ") and reason in error
    for name, value in EXTREMES:
        check_bits(run, {**entries_of(), f"pqv.{name}": value}, image, tmp_path)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, [1, 3, 24, 25]),
        ({}, [2, 3, 24, 24]),
        ({}, [3, 24, 24]),
        ({"input": "uint8", "layout": "nhwc"}, [1, 3, 24, 24]),
        ({"input": "image", "layout": "hwc"}, ["height", "width", 1]),
        ({"input": "image", "layout": "hwc"}, [1, 3, 24, 24]),
        ({"input_size": [1, 24, 24], "mean": [0], "std": [1]}, [1, 3, 24, 8]),
    ],
)
def test_metadata_of_another_input(
    run: Run, changes: dict[str, Any], shape: list[int | str], tmp_path: Path
) -> None:
    save_identity(tmp_path / "m.onnx", entries_of(**changes), shape)
    assert "metadata does not fit its input" in error_of(run(tmp_path / "m.onnx", "missing.png"))


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_metadata_of_another_type(run: Run, kind: str, tmp_path: Path) -> None:
    """Floats for a model of bytes would be written beyond its input."""
    save_identity(tmp_path / "m.onnx", entries_of(input=kind))
    model = onnx.load(tmp_path / "m.onnx")
    model.metadata_props[5].value = {"float": "uint8", "uint8": "float"}[kind]
    assert model.metadata_props[5].key == "pqv.input"
    onnx.save(model, tmp_path / "m.onnx")
    assert "metadata does not fit its input" in error_of(run(tmp_path / "m.onnx", "missing.png"))


def test_a_model_of_images_takes_nothing_else(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((9, 9, 3), np.uint8))
    save_identity(tmp_path / "m.onnx", entries_of(input="image", layout="hwc"))
    error = error_of(run(tmp_path / "m.onnx", tmp_path / "x.npy"))
    assert error.endswith("the model takes images, expected a name that ends in .jpg or .png")


def test_a_model_of_images_is_timed_with_a_photo(run: Run, tmp_path: Path) -> None:
    save_identity(tmp_path / "m.onnx", entries_of(input="image", layout="hwc"))
    done = run("--runs", "2", "--profile", tmp_path / "m.onnx")
    assert done.returncode == 0 and "2 runs: p50" in done.stdout, done.stderr


def test_images_that_are_too_large(run: Run, tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    save_identity(tmp_path / "m.onnx", entries_of())
    for size, what in TOO_LARGE:
        (tmp_path / "x.png").write_bytes(png_of_size(*size))
        error = error_of(run(tmp_path / "m.onnx", tmp_path / "x.png"))
        expected = rf"x\.png: the image has .* pixels {what}, expected at most 65535 on a side"
        assert re.search(expected, error), error


def test_a_whole_model(run: Run, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    need_library("libpng16.so.16")
    picture("RGB", 30, 40).save(tmp_path / "x.png")
    shutil.copy(tmp_path / "x.png", tmp_path / "y.PNG")
    done = run("--top", "1", tiny_onnx["w8a8"], tmp_path / "x.png", tmp_path / "y.PNG")
    lines = done.stdout.splitlines()
    assert lines[0] == str(tmp_path / "x.png") and lines[1] == lines[3]


def test_names_of_classes(run: Run, pqv: Pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    """Shown with percent, as Python shows them."""
    need_library("libpng16.so.16")
    image, model, result = tmp_path / "x.png", tmp_path / "m.onnx", tmp_path / "out.json"
    picture("RGB", 30, 40).save(image)
    proto = onnx.load(tiny_onnx["w8a8"])
    labels = ["a", "north pole", "\u00e9t\u00e9", 'with "quotes"', "100%[/]"]
    proto.metadata_props.add(key="pqv.labels", value="\n".join(labels))
    for shown in (tiny_onnx["w8a8"], model):
        onnx.save(proto, model)
        done, by_python = run(shown, image, "--json", result), pqv("run", shown, image)
        assert done.stdout == by_python.out
    (found,) = json.loads(result.read_text())["results"]
    assert pqv("run", model, image, "--json", result).code == 0
    (wanted,) = json.loads(result.read_text())["results"]
    assert {entry["label"] for entry in found["top"]} == set(labels)
    for own, other in zip(found["top"], wanted["top"], strict=True):
        assert {**own, "logit": 0, "probability": 0} == {**other, "logit": 0, "probability": 0}
        assert own["probability"] == round(other["probability"], 6)


def test_logits_that_are_no_numbers(run: Run, tmp_path: Path) -> None:
    """JSON has no NaN."""
    save_identity(tmp_path / "identity.onnx", entries_of())
    np.save(tmp_path / "x.npy", np.full((1, 3, 24, 24), np.nan, np.float32))
    done = run("--json", tmp_path / "out.json", tmp_path / "identity.onnx", tmp_path / "x.npy")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert result["top"][0] == {"class": 0, "label": None, "logit": None, "probability": None}
