"""Real photos of many sizes: pieces of those that scikit-image and scikit-learn bring along.

A photo's class is which quarter of which picture it was cut from. Some are composed: another
picture lies in a corner. Photos are JPEG files, as phones make them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image

SIZES = [
    *(
        (640, 480),
        (480, 640),
        (500, 375),
        (375, 500),
        (512, 512),
        (224, 224),
        (256, 256),
        (300, 451),
    ),
    *((1024, 768), (768, 1024), (1280, 720), (720, 1280), (1200, 900), (1080, 2400), (1600, 400)),
    *((333, 500), (160, 120), (96, 128), (112, 112), (60, 45)),
]
"""Width and height."""
_SKIMAGE = [
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "grass",
    "gravel",
    "hubble_deep_field",
]
_SKIMAGE += ["ihc", "moon", "motorcycle_left", "retina", "rocket"]
_SKLEARN = ["china", "flower"]
QUARTERS = 4
CLASSES = QUARTERS * (len(_SKIMAGE) + len(_SKLEARN))


@dataclass(frozen=True)
class Photo:
    """A JPEG file and the class of what it shows."""

    path: Path
    label: int

    def open(self) -> Image.Image:
        """Decoded by Pillow, RGB."""
        return Image.open(self.path).convert("RGB")


def pictures() -> list[Image.Image]:
    """The pictures that the installed packages have, RGB."""
    folders = [Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent]
    folders[1] /= "datasets/images"
    found = []
    for folder, names in zip(folders, (_SKIMAGE, _SKLEARN), strict=True):
        for name in names:
            (path,) = sorted(folder.glob(f"{name}.[jp][pn]g"))
            found.append(Image.open(path).convert("RGB"))
    return found


def make_photos(folder: Path, count: int, seed: int) -> list[Photo]:
    """Write photos, of each of ``SIZES`` in turn, to a folder."""
    sources, generator = pictures(), np.random.default_rng(seed)
    photos = []
    for index in range(count):
        source, quarter = (int(generator.integers(limit)) for limit in (len(sources), QUARTERS))
        photo = _cut(sources[source], quarter, SIZES[index % len(SIZES)], generator)
        if index % 4 == 3:
            other = sources[int(generator.integers(len(sources)))]
            photo.paste(other.resize((photo.width // 4, photo.height // 4)), (0, 0))
        photos.append(Photo(folder / f"{index:04d}.jpg", QUARTERS * source + quarter))
        photo.save(photos[-1].path, quality=90, subsampling="4:2:0")
    return photos


def _cut(
    picture: Image.Image, quarter: int, size: tuple[int, int], generator: np.random.Generator
) -> Image.Image:
    """A piece of a quarter, as large as its sides allow times 0.6 to 1, at a size."""
    width, height = picture.width // 2, picture.height // 2
    scale = min(width / size[0], height / size[1]) * generator.uniform(0.6, 1)
    sides = (size[0] * scale, size[1] * scale)
    left = width * (quarter % 2) + generator.uniform(0, width - sides[0])
    top = height * (quarter // 2) + generator.uniform(0, height - sides[1])
    box = (left, top, left + sides[0], top + sides[1])
    return picture.resize(size, Image.Resampling.BICUBIC, box=box)
