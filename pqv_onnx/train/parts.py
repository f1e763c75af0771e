"""Some images to calibrate on, and others to evaluate on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.utils.data import IterableDataset

from pqv_onnx.errors import PqvError
from pqv_onnx.train.data import Split
from pqv_onnx.train.folders import FileState, NoSplitError, class_names, file_states


@dataclass(frozen=True)
class Parts:
    """Images of a data set that have nothing in common.

    Attributes:
        calibration: split to calibrate on.
        calibration_images: how many of it, chosen at random.
        evaluation: split to evaluate on.
        evaluation_images: how many of it, chosen at random.
        skip: how many of those chosen are left out, because they are calibrated on.
        classes: names of the folders of the images' classes; none if the images have no classes
            or the data set does not say.
        labelled: whether an image's class means something.
        files: of the split to calibrate on, and whether they changed: see `file_states`.
    """

    calibration: Split
    calibration_images: int
    evaluation: Split
    evaluation_images: int
    skip: int
    classes: tuple[str, ...]
    labelled: bool
    files: list[FileState]

    @property
    def calibrated_on(self) -> tuple[object, ...]:
        """All that tells which images are calibrated on, and of folders whether they changed."""
        split = self.calibration
        return split.root, split.name, self.calibration_images, self.skip, self.files


def divide(
    dataset: str, root: str | None, workers: int, calibration: int, evaluation: int
) -> Parts:
    """Find images to calibrate on and others to evaluate on.

    They are of the splits ``train`` and ``validation``. Where there is only one of these, or
    neither but a folder with images, the images are shared out: half at most are calibrated on.

    Args:
        dataset: timm's name, or empty for folders.
        root: folder of the data.
        workers: processes that load images.
        calibration: images to calibrate on.
        evaluation: images to evaluate on.

    Raises:
        PqvError: there are no such splits, or not two images; or a folder of a split is there
            but cannot be opened.
    """
    splits = [Split(dataset, root, name, workers) for name in ("train", "validation")]
    found: list[tuple[Split, Any]] = []
    for split in splits:
        try:
            found.append((split, split.open(3, False, 1, 0)))
        except PqvError as error:
            # What other readers raise does not tell a split that is broken from one that is not.
            if not dataset and not isinstance(error, NoSplitError):
                raise
            problem = error
    if not found:
        raise problem
    (first, source), (second, other) = found[0], found[-1]
    names = class_names(source)
    known, files = bool(names) or bool(dataset), file_states(source)
    if first is not second and _place(source) != _place(other):
        used, rest = _at_most(calibration, source), _at_most(evaluation, other)
        return Parts(first, used, second, rest, 0, names, known, files)
    if isinstance(source, IterableDataset) or len(source) < 2:
        raise PqvError(
            f"{root or dataset}: expected the splits train and validation, or at least two images "
            "to share out"
        )
    used = min(calibration, len(source) // 2)
    rest = min(evaluation, len(source) - used)
    return Parts(first, used, first, rest, used, names, known, files)


def _at_most(wanted: int, source: Any) -> int:
    return wanted if isinstance(source, IterableDataset) else min(wanted, len(source))


def _place(source: Any) -> object:
    """Where a split's images lie: two splits without folders of their own are one."""
    return getattr(getattr(source, "reader", None), "root", source)
