"""The state of a run on disk: all that it takes to go on as if it had not stopped."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pqv_onnx.errors import PqvError
from pqv_onnx.files import write_atomically
from pqv_onnx.train.recipe import Recipe

_FORMAT = "pqv_onnx.train.3"
_MAY_CHANGE = (
    "export.input",
    "export.layout",
    "train.data.workers",
    "train.max_steps",
    "train.rounding_steps",
    "train.save_every",
)
"""Keys of a recipe that do not change what an update computes."""


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        images: training images that there are.
        step: updates done.
        loss_sum: of the losses of the epoch's updates so far.
        best: highest top-1 of an epoch, in percent.
        history: a row of the log per epoch.
    """

    images: int
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)


def save_state(path: Path, recipe: Recipe, progress: Progress, parts: dict[str, Any]) -> None:
    """Write a run's state, whole or not at all.

    Args:
        path: the file.
        recipe: of the run; it can only go on with the same.
        progress: how far it is.
        parts: state dicts by name.

    Raises:
        PqvError: the file cannot be written.
    """
    content = {
        "format": _FORMAT,
        "recipe": json.dumps(dataclasses.asdict(recipe)),
        "progress": dataclasses.asdict(progress),
        "parts": parts,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, recipe: Recipe) -> tuple[Progress, dict[str, Any]]:
    """Read a run's state; nothing but weights and numbers is unpickled.

    Raises:
        PqvError: the file is missing or damaged, or is of a run with another recipe.
    """
    if not path.is_file():
        raise PqvError(f"{path}: there is no run to resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != _FORMAT:
            raise PqvError(f"{path}: found a state of format {content['format']}, not {_FORMAT}")
        _check_recipe(path, json.loads(content["recipe"]), recipe)
        return Progress(**content["progress"]), content["parts"]
    except PqvError:
        raise
    # A damaged pickle can fail in any way.
    except Exception as error:
        raise PqvError(f"{path}: is damaged or holds something other than a run") from error


def _check_recipe(path: Path, found: dict[str, Any], recipe: Recipe) -> None:
    defaults = Recipe(recipe.model, recipe.precision)  # of keys that came later than the run
    old = _flatten(_as_read(defaults)) | _flatten(found)
    new = _flatten(_as_read(recipe))
    for key in {**old, **new}:
        before, now = old.get(key), new.get(key)
        if key not in _MAY_CHANGE and before != now:
            raise PqvError(f"{path}: the run has {key} = {before!r}, the recipe {now!r}")


def _as_read(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a state's is read."""
    table: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return table


def _flatten(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
