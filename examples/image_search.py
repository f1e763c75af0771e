"""Find the images of a folder that look like a given one: `examples/README.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.runtime.session import InferenceSession

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


class Embedder:
    """An exported model that gives embeddings."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            PqvError: it is no model, or gives something else.
        """
        entries = metadata(load_model(path))
        if (task := entries.get("pqv.task")) not in ("embedding", "unit_embedding"):
            raise PqvError(
                f"{path} gives {task}, expected an embedding: calibrate --task unit_embedding"
            )
        self.preprocessing = ModelInput.from_metadata(entries)
        self.session = InferenceSession(path)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, image: Path) -> np.ndarray:
        """The embedding of an image file, float32 [C], of length 1."""
        (found,) = self.session.run(None, {self.input: self.preprocessing.load(image)})
        vector: np.ndarray = found[0].astype(np.float32)  # codes have the direction, too
        return vector / max(float(np.linalg.norm(vector)), 1e-12)


def main(
    model: Annotated[Path, typer.Argument(help="An exported file that gives embeddings.")],
    folder: Annotated[Path, typer.Argument(help="Of the images to search, with its subfolders.")],
    query: Annotated[Path, typer.Argument(help="The image to find others like.")],
    count: Annotated[int, typer.Option("-k", min=1, help="How many to show.")] = 5,
) -> None:
    """Show the images of FOLDER that are most like QUERY, with their cosines."""
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    try:
        if not images:
            raise PqvError(f"{folder} has no images")
        embed = Embedder(model)
        wanted = embed(query)
        cosines = np.array([embed(image) @ wanted for image in track(images, "embedding")])
    except PqvError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for place in np.argsort(-cosines, kind="stable")[:count]:
        typer.echo(f"{cosines[place]:.4f}  {images[place]}")


if __name__ == "__main__":
    typer.run(main)
