"""Image files to model inputs, the way the model's metadata asks for.

The same steps as timm's evaluation transform (resize the shorter side, crop the centre,
scale to [0, 1], normalise), without torch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from pqv_onnx.errors import PqvError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes an input: size in pixels, mean and std for pixels in [0, 1]."""

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float
    interpolation: str
    input: str
    layout: str

    @classmethod
    def from_metadata(cls, entries: Mapping[str, str]) -> Preprocessing:
        """Read a model's ``pqv.*`` metadata.

        Raises:
            PqvError: an entry is missing or malformed.
        """
        try:
            channels, height, width = json.loads(entries["pqv.input_size"])
            return cls(
                channels,
                height,
                width,
                tuple(json.loads(entries["pqv.mean"])),
                tuple(json.loads(entries["pqv.std"])),
                float(entries["pqv.crop_pct"]),
                entries["pqv.interpolation"],
                entries["pqv.input"],
                entries["pqv.layout"],
            )
        except KeyError as error:
            raise PqvError(f"the model's metadata has no {error.args[0]}") from error
        except (ValueError, TypeError) as error:
            raise PqvError(f"the model's preprocessing metadata is malformed: {error}") from error

    def load(self, path: str | os.PathLike[str]) -> np.ndarray:
        """One image file as a batch of one, in the model's type and layout.

        Raises:
            PqvError: the file is missing or is not an image.
        """
        try:
            with Image.open(path) as image:
                pixels = self._crop(image.convert("RGB" if self.channels == 3 else "L"))
        except FileNotFoundError as error:
            raise PqvError(f"{path}: there is no such file") from error
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise PqvError(f"{path}: not an image that can be read") from error
        return self.from_pixels(pixels[np.newaxis])

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, C] as the model's input: uint8 in its layout, or normalised float."""
        if self.input == "uint8":
            return pixels if self.layout == "nhwc" else _to_nchw(pixels)
        scaled = _to_nchw(pixels).astype(np.float32) / np.float32(255)
        mean, std = (
            np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std)
        )
        return (scaled - mean) / std

    def _crop(self, image: Image.Image) -> np.ndarray:
        """Resize so that the centre crop is ``crop_pct`` of the shorter side, and crop it."""
        width, height = image.size
        target = math.floor(min(self.height, self.width) / self.crop_pct)
        shorter = min(width, height)
        size = (int(target * width / shorter), int(target * height / shorter))
        image = image.resize(size, _FILTERS.get(self.interpolation, Image.Resampling.BICUBIC))
        left = round((size[0] - self.width) / 2)
        top = round((size[1] - self.height) / 2)
        image = image.crop((left, top, left + self.width, top + self.height))
        array = np.asarray(image, np.uint8)
        return array[..., np.newaxis] if array.ndim == 2 else array


def _to_nchw(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
