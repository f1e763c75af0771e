"""The ready-made recipes, by name: in export/recipes of a checkout, inside of a built package."""

from __future__ import annotations

import os
from pathlib import Path

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.text import similar

_SUFFIX = ".toml"


def recipe_names() -> list[str]:
    """The names of all ready-made recipes, ``MODEL.PRECISION``, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in _folder().glob(f"*{_SUFFIX}"))


def find_recipe(recipe: str | os.PathLike[str]) -> Path:
    """The file of a recipe.

    Args:
        recipe: a file, or the name of a ready-made recipe.

    Raises:
        PqvError: it is a name, but no ready-made recipe has it.
    """
    path = Path(recipe)
    if path.suffix == _SUFFIX or path.name != os.fspath(recipe) or path.exists():
        return path
    names = recipe_names()
    if path.name not in names:
        near = similar(path.name, names)
        hint = f"did you mean {near}? " if near else ""
        raise PqvError(
            f"{path.name} is no file and no ready-made recipe: {hint}`pqv recipes` lists them"
        )
    return _folder() / f"{path.name}{_SUFFIX}"


def _folder() -> Path:
    roots = [Path(root) for root in pqv_onnx.__path__]
    built = [root / "recipes" for root in roots]
    for folder in [*built, *(root.parent / "export" / "recipes" for root in roots)]:
        if folder.is_dir():
            return folder
    raise PqvError("this installation of pqv_onnx lacks its recipes: install it again")
