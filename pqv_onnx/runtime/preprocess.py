"""Image files to model inputs, the way the model's metadata asks for.

The same steps as timm's evaluation transform (resize the shorter side, crop the centre,
scale to [0, 1], normalise), without torch. docs/metadata.md says what the metadata may hold; the
limits here are its and those of custom_ops/runner/metadata.cc.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from pqv_onnx.errors import PqvError
from pqv_onnx.files import read_bytes
from pqv_onnx.runtime.images import as_pixels, check_encoded, check_image_size, open_image

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


MAX_SIDE = 4096
"""Pixels of a model's input, in height and in width."""
InputFormat = Literal["float", "uint8", "image", "encoded"]
"""What models take."""
LAYOUTS = {
    "float": ("nchw",),
    "uint8": ("nchw", "nhwc"),
    "image": ("hwc",),
    "encoded": ("bytes",),
}
"""Of each, in which order the axes may be."""
ONE_IMAGE = ("encoded", "image")
"""Inputs that are one image of any size. Of each, all behind it can be made, and pixels."""
_LARGEST_FILE = 2**28
"""Bytes of an image file."""
_CROP_PCT = (0.01, 10.0)
_MEAN = (-1e6, 1e6)
_STD = (1e-6, 1e6)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to images of any size; the fields are timm's.

    Attributes:
        mean: per channel, of pixels in [0, 1].
        std: per channel.
        crop_pct: share of the shorter side that the crop has.
        interpolation: of the resizing before it.
        crop_mode: ``center`` keeps the image's proportions, ``squash`` gives it the model's.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float = 1.0
    interpolation: str = "bicubic"
    crop_mode: str = "center"


@dataclass(frozen=True, kw_only=True)
class ModelInput(Preprocessing):
    """How an image becomes the input of one model.

    Attributes:
        channels: 3, or 1 for grey.
        height: in pixels.
        width: in pixels.
        input: ``float`` for normalised values, ``uint8`` for pixels, ``image`` for an image of any
            size, which the model resizes and crops itself, ``encoded`` for the bytes of a JPEG or
            PNG file, which it decodes, too.
        layout: order of the axes, one of ``LAYOUTS``.

    Raises:
        PqvError: a field breaks the rules of docs/metadata.md.
    """

    channels: int
    height: int
    width: int
    input: str = "float"
    layout: str = "nchw"

    def __post_init__(self) -> None:
        """Check every field."""
        _check("input_size", self.channels, int, 1, math.inf)
        for side in (self.height, self.width):
            _check("input_size", side, int, 1, MAX_SIDE)
        for name, values, limits in (("mean", self.mean, _MEAN), ("std", self.std, _STD)):
            if len(values) != self.channels:
                raise PqvError(
                    f"the model's pqv.{name} has {len(values)} numbers, expected one for each of "
                    f"{self.channels} channels"
                )
            for value in values:
                _check(name, value, (int, float), *limits)
        _check("crop_pct", self.crop_pct, (int, float), *_CROP_PCT)
        if min(self.height, self.width) < self.crop_pct:
            raise PqvError(
                f"the model's pqv.crop_pct is {self.crop_pct}, expected at most the shorter side"
            )
        _choose("interpolation", self.interpolation, tuple(_FILTERS))
        _choose("crop_mode", self.crop_mode, ("center", "squash"))
        _choose("input", self.input, tuple(LAYOUTS))
        _choose("layout", self.layout, LAYOUTS[self.input])

    def to_metadata(self) -> dict[str, str]:
        """The entries of a model's metadata that ``from_metadata`` reads."""
        return {
            "pqv.input": self.input,
            "pqv.layout": self.layout,
            "pqv.input_size": json.dumps([self.channels, self.height, self.width]),
            "pqv.mean": json.dumps(self.mean),
            "pqv.std": json.dumps(self.std),
            "pqv.crop_pct": str(self.crop_pct),
            "pqv.interpolation": self.interpolation,
            "pqv.crop_mode": self.crop_mode,
        }

    @classmethod
    def from_metadata(cls, entries: Mapping[str, str]) -> ModelInput:
        """Read a model's ``pqv.*`` metadata.

        Raises:
            PqvError: an entry is missing or malformed.
        """
        size = _from_json(entries, "input_size", list)
        if len(size) != 3:
            raise PqvError(f"the model's pqv.input_size has {len(size)} numbers, expected 3")
        channels, height, width = size
        return cls(
            tuple(_from_json(entries, "mean", list)),
            tuple(_from_json(entries, "std", list)),
            _from_json(entries, "crop_pct", (int, float)),
            _entry(entries, "interpolation"),
            entries.get("pqv.crop_mode", "center"),  # files of earlier versions have none
            channels=channels,
            height=height,
            width=width,
            input=_entry(entries, "input"),
            layout=_entry(entries, "layout"),
        )

    def load(self, path: str | os.PathLike[str]) -> np.ndarray:
        """One image file as a batch of one, or as one image, in the model's type and layout.

        Of a model of files, the bytes of the file.

        Raises:
            PqvError: the file is missing, is not an image, or is one that is too large; or the
                model takes no image.
        """
        if self.channels not in (1, 3):
            raise PqvError(f"the model takes {self.channels} channels, expected 1 or 3 for images")
        if os.path.isdir(path):
            raise PqvError(f"{path}: is a folder: give its images, {os.path.join(path, '*.jpg')}")
        if self.input == "encoded":
            return self._read(path)
        try:
            with open_image(path) as image:
                self.check_resized(*image.size)
                mode = "RGB" if self.channels == 3 else "L"
                # A conversion to the same mode would be a copy.
                image = image if image.mode == mode else image.convert(mode)
                pixels = as_pixels(image) if self.input == "image" else self._crop(image)
        except FileNotFoundError as error:
            raise PqvError(f"{path}: there is no such file") from error
        except PqvError as error:
            raise PqvError(f"{path}: {error}") from error
        # Pillow's readers of damaged files raise whatever they stumble over.
        except Exception as error:
            raise PqvError(f"{path}: not an image that can be read") from error
        return pixels if self.input == "image" else self.from_pixels(pixels[np.newaxis])

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, C] as the model's input: uint8 in its layout, or normalised float.

        The pixels are of the model's size, so that this is not for models of images or files.
        """
        if self.input == "uint8":
            return pixels if self.layout == "nhwc" else _to_nchw(pixels)
        scaled = _to_nchw(pixels).astype(np.float32) / np.float32(255)
        mean, std = (
            np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std)
        )
        return (scaled - mean) / std

    def check_resized(self, width: int, height: int) -> None:
        """Refuse an image that is too large once it is resized for the model.

        Raises:
            PqvError: see `check_image_size`.
        """
        check_image_size(*self._resized(width, height), "resized for the model")

    def _read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """The bytes of an image file, uint8 [N]."""
        data = np.frombuffer(read_bytes(path, _LARGEST_FILE, "an image"), np.uint8)
        try:
            self.check_resized(*check_encoded(data))
        except PqvError as error:
            raise PqvError(f"{path}: {error}") from error
        return data

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that an image is resized to, as timm rounds them."""
        wide, high = (math.floor(side / self.crop_pct) for side in (self.width, self.height))
        if self.crop_mode == "squash":
            return wide, high
        if wide == high:
            shorter = min(width, height)
            return int(wide * width / shorter), int(high * height / shorter)
        ratio = min(width / wide, height / high)
        return round(width / ratio), round(height / ratio)

    def _crop(self, image: Image.Image) -> np.ndarray:
        """Resize so that the centre crop is ``crop_pct`` of it, and crop it."""
        size = self._resized(*image.size)
        image = image.resize(size, _FILTERS[self.interpolation])
        left, top = _start(size[0] - self.width), _start(size[1] - self.height)
        return as_pixels(image.crop((left, top, left + self.width, top + self.height)))


def _start(excess: int) -> int:
    """Where the centre begins in an image that is larger by so many pixels, or smaller."""
    return round(excess / 2) if excess >= 0 else -(-excess // 2)


def _entry(entries: Mapping[str, str], name: str) -> str:
    try:
        return entries[f"pqv.{name}"]
    except KeyError:
        raise PqvError(f"the model's metadata has no pqv.{name}") from None


def _from_json(entries: Mapping[str, str], name: str, kind: type | tuple[type, ...]) -> Any:
    text = _entry(entries, name)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = "a list of numbers" if kind is list else "a number"
        raise PqvError(f"the model's pqv.{name} is {text[:40]!r}, expected {expected}")
    return value


def _check(name: str, value: Any, kind: type | tuple[type, ...], low: float, high: float) -> None:
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # not of what is no number, as NaN
        text = "a whole number" if kind is int else "a number"
        upper = "" if high == math.inf else f" to {high:g}"
        raise PqvError(
            f"the model's pqv.{name} has {str(value)[:40]}, expected {text} from {low:g}{upper}"
        )


def _choose(name: str, found: str, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise PqvError(f"the model's pqv.{name} is {found!r}, expected {' or '.join(allowed)}")


def _to_nchw(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
