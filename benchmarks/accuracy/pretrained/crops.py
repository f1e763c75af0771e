"""`python -m benchmarks.accuracy.pretrained.crops FOLDER`: other images than Fashion-MNIST.

Square crops of the photos that scikit-image and scikit-learn bring along, of 40 to 119 pixels; the
class is the photo. Training images are cut from the left three fifths of it, validation images from
the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import skimage.data
import typer
from PIL import Image
from sklearn.datasets import load_sample_images

from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder

PHOTOS = (
    *("astronaut", "coffee", "cat", "rocket", "camera", "brick", "grass", "gravel", "coins"),
    *("moon", "page", "text", "hubble_deep_field", "immunohistochemistry", "retina"),
    *("colorwheel", "logo", "horse", "clock"),
)
_SIZES = (40, 120)
_LEFT = 0.6


def main(
    folder: Annotated[Path, typer.Argument(help="Gets train/CLASS/ and validation/CLASS/.")],
    train: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 150,
    validation: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 80,
) -> None:
    """Write the crops as PNG files, the same ones each time."""
    random = np.random.default_rng(0)
    for name, photo in photos().items():
        width = photo.shape[1]
        border = int(width * _LEFT)
        for split, count, columns in (
            ("train", train, (0, border)),
            ("validation", validation, (border, width)),
        ):
            target = folder / split / name
            make_folder(target)
            for i in range(count):
                Image.fromarray(crop(photo, columns, random)).save(target / f"{i}.png")


def photos() -> dict[str, np.ndarray]:
    """uint8 [height, width, 3] by name."""
    found = {name: _rgb(getattr(skimage.data, name)()) for name in PHOTOS}
    return found | dict(zip(("china", "flower"), load_sample_images().images, strict=True))


def crop(photo: np.ndarray, columns: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """A square of ``photo`` between two columns."""
    height = photo.shape[0]
    begin, end = columns
    size = int(random.integers(_SIZES[0], min(_SIZES[1], height, end - begin)))
    y = int(random.integers(0, height - size + 1))
    x = int(random.integers(begin, end - size + 1))
    return photo[y : y + size, x : x + size]


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    return np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3]


if __name__ == "__main__":
    try:
        typer.run(main)
    except PqvError as failure:
        raise SystemExit(f"error: {failure}") from failure
