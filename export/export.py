"""Run export recipes: ``export/export.py RECIPE... -o DIR``. See export/README.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pqv_onnx.checkpoint import load_qat
from pqv_onnx.cli import verify
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_folder, make_folder
from pqv_onnx.graph.export import export_onnx
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import QuantModel, build_random_qat
from pqv_onnx.train.collection import find_recipe
from pqv_onnx.train.models import check_model, import_modules
from pqv_onnx.train.recipe import Recipe, load_recipe


def main(
    recipes: Annotated[list[Path], typer.Argument(help="Names of `pqv recipes`, or .toml files.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the .onnx files.")],
    checkpoint: Annotated[Path | None, typer.Option(help="QAT checkpoint of the model.")] = None,
    random_weights: Annotated[int | None, typer.Option(metavar="SEED")] = None,
) -> None:
    """Export and verify every recipe."""
    if (checkpoint is None) == (random_weights is None):
        raise typer.BadParameter("give either --checkpoint or --random-weights SEED")
    loaded = {path: load_recipe(path) for path in map(find_recipe, recipes)}
    check_folder(output)
    for path, recipe in loaded.items():
        import_modules(recipe.imports)
        if checkpoint is not None:
            model = _load_checkpoint(checkpoint, recipe)
        else:
            assert random_weights is not None
            model = build_random_qat(recipe.model, recipe.spec, random_weights)
        target = make_folder(output) / f"{path.stem}.onnx"
        options = recipe.export
        export_onnx(convert_to_integer(model), target, input=options.input, layout=options.layout)
        verify.command(target)


def _load_checkpoint(path: Path, recipe: Recipe) -> QuantModel:
    model = load_qat(path)
    check_model(path, model, recipe.model)
    found = model.config.spec.base
    if found != recipe.precision:
        raise PqvError(f"{path} is {found}, the recipe of {recipe.model} is {recipe.precision}")
    return model


if __name__ == "__main__":
    try:
        typer.run(main)
    except PqvError as error:
        sys.exit(f"export.py: error: {error}")
