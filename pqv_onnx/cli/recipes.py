"""``pqv recipes``: the ready-made recipes."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer
from rich.table import Column, Table

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
from pqv_onnx.files import read_text
from pqv_onnx.train.collection import find_recipe, recipe_names
from pqv_onnx.train.recipe import load_recipe


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print this recipe, to make one's own.")
    ] = None,
    name_filter: Annotated[
        str, typer.Option("--filter", metavar="GLOB", help="Only names like this: '*.w4a4'.")
    ] = "*",
    json_file: JsonOption = None,
) -> None:
    """List the ready-made recipes, which `pqv train --recipe` takes by name, or print one.

    Example: `pqv recipes deit_tiny_patch16_224.w4a4 > mine.toml`
    """
    if name is not None:
        load_recipe(name)  # refuses what is none
        typer.echo(read_text(find_recipe(name)), nl=False)
        return
    check_json(json_file)
    recipes = {name: load_recipe(name) for name in fnmatch.filter(recipe_names(), name_filter)}
    longest = max(map(len, recipes), default=0)
    name_column = Column("recipe", min_width=longest, no_wrap=True)  # whole, for copying
    table = Table(name_column, "model", "precision", "epochs")
    for name, recipe in recipes.items():
        table.add_row(name, recipe.model, recipe.precision, str(recipe.train.epochs))
    console.print(table)
    write_json(
        json_file,
        {name: {"model": r.model, "precision": r.precision} for name, r in recipes.items()},
    )
