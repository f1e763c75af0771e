from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.preprocess import ModelInput
from tests.runtime.hostile import BAD_FIELDS, EXTREMES, TOO_LARGE, png_of_size

METADATA = {
    "pqv.input_size": "[3, 24, 24]",
    "pqv.mean": "[0.485, 0.456, 0.406]",
    "pqv.std": "[0.229, 0.224, 0.225]",
    "pqv.crop_pct": "0.9",
    "pqv.interpolation": "bicubic",
    "pqv.crop_mode": "center",
    "pqv.input": "float",
    "pqv.layout": "nchw",
}


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (24, 24), (101, 57)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", ["0.9", "1.0", "0.875", "1.15"])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("input_size", [(3, 24, 24), (3, 20, 28), (3, 32, 18)])
def test_equal_to_timms_transform(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: str,
    crop_mode: str,
    input_size: tuple[int, int, int],
    tmp_path: Path,
) -> None:
    timm_data = pytest.importorskip("timm.data")
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    changes = {"interpolation": interpolation, "crop_pct": crop_pct, "crop_mode": crop_mode}
    changes["input_size"] = str(list(input_size))
    entries = METADATA | {f"pqv.{name}": value for name, value in changes.items()}
    preprocessing = ModelInput.from_metadata(entries)
    transform = timm_data.create_transform(
        input_size,
        interpolation=interpolation,
        crop_mode=crop_mode,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=float(crop_pct),
    )
    expected = transform(Image.open(path).convert("RGB")).numpy()
    assert np.array_equal(preprocessing.load(path)[0], expected)


def test_uint8_models_get_the_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    entries = {**METADATA, "pqv.input": "uint8", "pqv.crop_pct": "1.0"}
    for layout, expected in (("nhwc", pixels), ("nchw", pixels.transpose(2, 0, 1))):
        preprocessing = ModelInput.from_metadata({**entries, "pqv.layout": layout})
        assert np.array_equal(preprocessing.load(tmp_path / "image.png")[0], expected)


def test_files_of_earlier_versions_are_cropped_at_their_centre() -> None:
    entries = {name: value for name, value in METADATA.items() if name != "pqv.crop_mode"}
    assert ModelInput.from_metadata(entries) == ModelInput.from_metadata(METADATA)


def test_bad_files_and_metadata_are_named(tmp_path: Path) -> None:
    preprocessing = ModelInput.from_metadata(METADATA)
    with pytest.raises(PqvError, match="there is no such file"):
        preprocessing.load(tmp_path / "none.png")
    with pytest.raises(PqvError, match=r"is a folder: give its images, .*\*\.jpg"):
        preprocessing.load(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(PqvError, match="not an image"):
        preprocessing.load(tmp_path / "text.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "x.eps")  # which Pillow has Ghostscript run
    with pytest.raises(PqvError, match="not an image"):
        preprocessing.load(tmp_path / "x.eps")
    with pytest.raises(PqvError, match="pqv.std"):
        ModelInput.from_metadata({k: v for k, v in METADATA.items() if k != "pqv.std"})


@pytest.mark.parametrize(("name", "value", "reason"), BAD_FIELDS)
def test_fields_that_break_the_rules(name: str, value: str, reason: str) -> None:
    with pytest.raises(PqvError, match=rf"the model's pqv\.{name} (is|has) ") as error:
        ModelInput.from_metadata({**METADATA, f"pqv.{name}": value})
    assert reason in str(error.value)


@pytest.mark.parametrize(("name", "value"), EXTREMES)
def test_fields_at_their_limits(name: str, value: str) -> None:
    ModelInput.from_metadata({**METADATA, f"pqv.{name}": value})


@pytest.mark.parametrize(("size", "what"), TOO_LARGE)
def test_images_that_are_too_large(size: tuple[int, int], what: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png_of_size(*size))
    with pytest.raises(PqvError, match=rf"x\.png: the image .*{what}, expected at most 65535"):
        ModelInput.from_metadata(METADATA).load(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_images_of_more_than_8_bits(mode: str, tmp_path: Path) -> None:
    """Their pixels would be cut off at 255, to a white image."""
    Image.new(mode, (30, 30)).save(tmp_path / "x.tif")
    with pytest.raises(PqvError, match=rf"x\.tif: the image is in 16 or 32 bits .*{mode}"):
        ModelInput.from_metadata(METADATA).load(tmp_path / "x.tif")


def test_models_that_take_no_images(tmp_path: Path) -> None:
    four = {"pqv.input_size": "[4, 8, 8]", "pqv.mean": "[0, 0, 0, 0]", "pqv.std": "[1, 1, 1, 1]"}
    with pytest.raises(PqvError, match="takes 4 channels, expected 1 or 3"):
        ModelInput.from_metadata({**METADATA, **four}).load(tmp_path / "x.png")
