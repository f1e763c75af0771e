"""Ready-made recipes are found by name, wherever the package is."""

from __future__ import annotations

from pathlib import Path

import pytest

import pqv_onnx
from pqv_onnx.errors import PqvError
from pqv_onnx.train.collection import find_recipe, recipe_names
from pqv_onnx.train.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "export" / "recipes"
NAME = "deit_tiny_patch16_224.w4a4"


def test_names() -> None:
    assert recipe_names() == sorted(path.stem for path in RECIPES.glob("*.toml"))
    assert find_recipe(NAME) == RECIPES / f"{NAME}.toml"
    assert load_recipe(NAME).model == "deit_tiny_patch16_224"


def test_files_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("missing.toml", "folder/missing", tmp_path / NAME):
        assert find_recipe(file) == Path(file)
    Path(NAME).touch()
    assert find_recipe(NAME) == Path(NAME)


def test_unknown_names() -> None:
    with pytest.raises(PqvError, match=rf"no ready-made recipe: did you mean .*{NAME} .*`pqv r"):
        find_recipe("deit_tiny_patch16_224.w4a")
    with pytest.raises(PqvError, match="recipe: `pqv recipes` lists them"):
        find_recipe("mine")


def test_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pqv_onnx"
    monkeypatch.setattr(pqv_onnx, "__path__", [str(folder)])
    with pytest.raises(PqvError, match="lacks its recipes"):
        recipe_names()
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "a.w4a4.toml").touch()
    assert recipe_names() == ["a.w4a4"]
