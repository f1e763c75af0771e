"""Models to start from: a timm name with weights of a file, of the hub, or random ones."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from pqv_onnx.checkpoint import load_float
from pqv_onnx.errors import PqvError
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.build import check_timm_name, create_timm, randomize, set_image_size
from pqv_onnx.qat.convert import image_size, timm_preprocessing
from pqv_onnx.runtime.preprocess import ModelInput

_FAMILIES = ("vision_transformer", "swin_transformer")
"""What checkpoints call models that timm did not create."""


@dataclass(frozen=True)
class FloatSource:
    """Where a float model's weights come from, exactly one of the three, and its images' size.

    Attributes:
        weights: a file.
        seed: of random weights.
        pretrained: timm's pretrained weights, downloaded unless they are cached.
        size: height and width of the images; None for what the model is made for.
        classes: of a new head, whose weights are random; by default the head is the weights' own.
    """

    weights: Path | None = None
    seed: int | None = None
    pretrained: bool = False
    size: tuple[int, int] | None = None
    classes: int | None = None

    @property
    def given(self) -> int:
        """How many of the three are set."""
        return (self.weights is not None) + (self.seed is not None) + self.pretrained

    def load(self, timm_name: str) -> nn.Module:
        """Create the model in evaluation mode.

        Raises:
            PqvError: the name is unknown, the weights are missing or do not fit, or the model
                cannot take images of this size.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed or 0)
            if self.weights is not None:
                return load_float(self.weights, timm_name, self.size, self.classes)
            if self.seed is None:
                model = load_pretrained(timm_name, self.classes)
            else:
                model = create_timm(timm_name, **_head(self.classes))
            if self.size is not None:
                set_image_size(model, self.size)
            if self.seed is not None:
                randomize(model)
        return model.eval()

    def __str__(self) -> str:
        """For people: ``pretrained``, ``random weights 0``, or the file."""
        if self.weights is not None:
            return str(self.weights)
        return "pretrained" if self.pretrained else f"random weights {self.seed}"


def _head(classes: int | None) -> dict[str, Any]:
    return {} if classes is None else {"num_classes": classes}


def load_pretrained(timm_name: str, classes: int | None = None) -> nn.Module:
    """Create a timm model with timm's pretrained weights, and with a new head for ``classes``.

    Raises:
        PqvError: the name is unknown, or the weights can neither be downloaded nor found.
    """
    check_timm_name(timm_name)
    try:
        model: nn.Module = timm.create_model(timm_name, pretrained=True, **_head(classes))
    # Whatever goes wrong between here and a hub.
    except Exception as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        raise PqvError(f"{timm_name}: no pretrained weights to be had: {reason}") from error
    return model.eval()


def import_modules(names: Sequence[str]) -> None:
    """Import modules that register models or datasets.

    Raises:
        PqvError: a module cannot be found, or fails.
    """
    for name in names:
        try:
            importlib.import_module(name)
        # A user's own module can fail in any way.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise PqvError(f"module {name} cannot be imported: {reason}") from error


def check_model(path: Path, model: QuantModel, timm_name: str) -> None:
    """Refuse a checkpoint of another model than a recipe's.

    Raises:
        PqvError: the checkpoint's model has another name than ``timm_name``.
    """
    found = model.config.backbone.architecture
    if found not in _FAMILIES and found != timm_name.partition(".")[0]:
        raise PqvError(f"{path} is a {found}, the recipe's model is {timm_name}")


def float_input(model: nn.Module) -> ModelInput:
    """How an image becomes a timm model's input, by what timm says about it."""
    channels, height, width = image_size(model)
    made = timm_preprocessing(model, channels)
    return ModelInput(**vars(made), channels=channels, height=height, width=width)
