"""scikit-learn's handwritten digits as images for a Vision Transformer.

1797 real digits of 8 x 8 pixels with 17 grey levels, enlarged to 32 x 32 uint8. The split is
by index and never changes: of each digit, in the order of the data set, every fifth image
beginning with the first is a test image. No test image is trained or calibrated on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from sklearn.datasets import load_digits
from torch import Tensor

IMAGE_SIZE = 32
CLASSES = 10
LABELS = tuple(map(str, range(CLASSES)))
TEST_STRIDE = 5
# Of the training images scaled to [0, 1].
MEAN = 0.3054
STD = 0.3239


@dataclass(frozen=True)
class Split:
    """Images uint8 [n, 1, 32, 32] and their labels int64 [n]."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def subset(self, count: int | None) -> Split:
        """The first ``count`` images, all if None."""
        return Split(self.images[:count], self.labels[:count])


def load_split() -> tuple[Split, Split]:
    """The training and the test images of the digits data set."""
    digits = load_digits()
    labels = torch.from_numpy(digits.target).long()
    small = torch.from_numpy(digits.images).float().unsqueeze(1) * (255 / 16)
    large = F.interpolate(small, size=IMAGE_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8)

    position_in_class = torch.empty_like(labels)
    for digit in range(CLASSES):
        members = labels == digit
        position_in_class[members] = torch.arange(int(members.sum()))
    test = position_in_class % TEST_STRIDE == 0
    return Split(images[~test], labels[~test]), Split(images[test], labels[test])


def normalize(images: Tensor) -> Tensor:
    """Uint8 pixels [n, 1, h, w] to the float input of the model, of the same shape."""
    return (images.float() / 255 - MEAN) / STD


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random rotation, scale, shear and shift of each image.

    Args:
        images: uint8 [n, 1, h, w].
        generator: source of the randomness.

    Returns:
        uint8 [n, 1, h, w], black where the original has no pixels.
    """
    count = len(images)

    def uniform(limit: float, columns: int = 1) -> Tensor:
        return (torch.rand(count, columns, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(12)).squeeze(1)
    scale = torch.exp(uniform(math.log(1.2), columns=2))
    shear = uniform(0.2).squeeze(1)
    cosine, sine = angle.cos(), angle.sin()
    rotation = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
    shape = torch.zeros(count, 2, 2)
    shape[:, 0, 0], shape[:, 1, 1] = scale[:, 0], scale[:, 1]
    shape[:, 0, 1] = shear
    shift = uniform(0.12, columns=2).unsqueeze(2)
    theta = torch.cat([rotation @ shape, shift], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    return warped.round().to(torch.uint8)
