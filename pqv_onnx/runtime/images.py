"""Image files and images as arrays, with our limits in place of Pillow's."""

from __future__ import annotations

import io
import os
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image

from pqv_onnx.errors import PqvError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF", "JPEG2000")
"""Of image files. Pillow knows more, some of which, as EPS, it has other programs run."""
ENCODED = ("JPEG", "PNG")
"""Of them, those that models of files decode."""
MAX_IMAGE_SIDE, MAX_IMAGE_PIXELS = 65535, 2**27
"""Of an image, as it is in its file and as it is resized."""
_IMAGE_LIMITS = f"at most {MAX_IMAGE_SIDE} on a side and {MAX_IMAGE_PIXELS} in all"
PHOTO = (480, 640)
"""Height and width of the image that is made up for a model of images, for timing and verifying."""


def as_pixels(image: Image.Image) -> np.ndarray:
    """An RGB or a grey image as uint8 [H, W, C]."""
    array = np.asarray(image, np.uint8)
    return array[..., np.newaxis] if array.ndim == 2 else array


def as_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, C] as an RGB or a grey image."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def open_image(
    file: str | os.PathLike[str] | BinaryIO, formats: tuple[str, ...] = _FORMATS
) -> Image.Image:
    """Open an image file, whose pixels are not read yet, with our limits in place of Pillow's.

    Raises:
        PqvError: see `check_image_size`, or its channels have more than 8 bits.
        Exception: what Pillow raises of a file that is missing or no image.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(file, formats=formats)
    except Image.DecompressionBombError:
        raise PqvError(f"the image is too large, expected {_IMAGE_LIMITS}") from None
    check_image_size(*image.size)
    if image.mode.startswith(("I", "F")):  # Pillow's conversion would cut them off at 255: white
        raise PqvError(
            f"the image is in 16 or 32 bits (Pillow's {image.mode}), expected 8 bits a channel"
        )
    return image


def image_endings() -> tuple[str, ...]:
    """Endings of the names of files that `open_image` reads, as ``.png``."""
    known = Image.registered_extensions().items()
    return tuple(ending for ending, kind in known if kind in _FORMATS)


def check_image_size(width: int, height: int, what: str = "in its file") -> None:
    """Refuse an image that takes too much memory.

    Raises:
        PqvError: a side or the whole has too many pixels, or none.
    """
    sides_fit = min(width, height) >= 1 and max(width, height) <= MAX_IMAGE_SIDE
    if not sides_fit or width * height > MAX_IMAGE_PIXELS:
        raise PqvError(f"the image has {width} x {height} pixels {what}, expected {_IMAGE_LIMITS}")


def check_encoded(data: np.ndarray) -> tuple[int, int]:
    """Refuse what is no whole JPEG or PNG file.

    Args:
        data: the bytes of a file, uint8 [N].

    Returns:
        Width and height of the image.

    Raises:
        PqvError: they are none, the image is too large, or a JPEG image is not in RGB.
    """
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 1:
        found = f"{getattr(data, 'dtype', type(data).__name__)}{list(np.shape(data))}"
        raise PqvError(f"the input is {found}, expected the bytes of an image file, uint8[bytes]")
    try:
        with open_image(io.BytesIO(data.tobytes()), ENCODED) as image:
            image.load()
    except PqvError:
        raise
    # Pillow's readers of damaged files raise whatever they stumble over.
    except Exception as error:
        raise PqvError("the input is not a whole JPEG or PNG image") from error
    if image.format != "PNG" and image.mode != "RGB":
        # The decoder exchanges every third grey value as if it were blue, and keeps CMYK's four.
        kind = {"L": "grey", "CMYK": "CMYK, for printers"}.get(image.mode, image.mode)
        raise PqvError(f"the JPEG image is in {kind}, expected RGB")
    return image.size
