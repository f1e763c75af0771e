from __future__ import annotations

import json
from pathlib import Path

import pytest

from pqv_onnx.cli import options, recipes
from pqv_onnx.train.collection import recipe_names

RECIPES = Path(__file__).parents[2] / "export" / "recipes"
NAME = "deit_tiny_patch16_224.w4a4"


def test_list(pqv, tmp_path: Path) -> None:
    done = pqv("recipes", "--filter", f"{NAME}*", "--json", tmp_path / "r.json")
    assert done.code == 0 and f"{NAME}.300_epochs" in done.out
    recipes = json.loads((tmp_path / "r.json").read_text())
    assert list(recipes) == [NAME, f"{NAME}.300_epochs"]
    assert recipes[NAME] == {"model": "deit_tiny_patch16_224", "precision": "w4a4"}


def test_names_are_whole_however_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options.console, "width", 40)
        recipes.command()
    shown = capsys.readouterr().out
    assert all(name in shown for name in recipe_names())


def test_print(pqv) -> None:
    assert pqv("recipes", NAME).out == (RECIPES / f"{NAME}.toml").read_text()
    assert "no ready-made recipe" in pqv("recipes", "mine").error


def test_training_takes_names(pqv, tmp_path: Path) -> None:
    assert "no ready-made recipe" in pqv("train", "--recipe", "mine", "-o", tmp_path / "r").error


def test_what_is_no_recipe_is_not_printed(pqv, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_bytes(b"\xff\x1b[31m")
    assert "r.toml: is no text in UTF-8" in pqv("recipes", tmp_path / "r.toml").error
