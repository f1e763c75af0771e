"""``pqv run``: a model on images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer

from pqv_onnx.cli.options import (
    MAX_SEED,
    MAX_THREADS,
    JsonOption,
    ModelArgument,
    check_json,
    console,
    write_json,
)
from pqv_onnx.graph.accuracy import stated_accuracy
from pqv_onnx.graph.load import load_model, metadata, result_names
from pqv_onnx.runtime.labels import best_classes, stated_labels
from pqv_onnx.runtime.preprocess import ModelInput
from pqv_onnx.runtime.session import InferenceSession, run_session, session_options
from pqv_onnx.verification.verify import model_images


def command(
    model: ModelArgument,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE]...", help="Image files to classify.")
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_SEED, metavar="SEED", help="Run one random image instead."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    threads: Annotated[int, typer.Option(min=0, max=MAX_THREADS, help="0 for all cores.")] = 0,
    functions: Annotated[
        bool, typer.Option("--functions", help="Stock onnxruntime, without the op library.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Classify images with MODEL and show the best classes with percent (softmax of the logits).

    Of models that give an embedding, tokens or features, the shapes are shown.

    Example: `pqv run m.onnx cat.jpg` or `pqv run m.onnx --random 0`
    """
    if bool(images) == (random is not None):
        raise typer.BadParameter("give image files, or --random SEED")
    check_json(json_file, model, *(images or []))
    proto = load_model(model)
    session = InferenceSession(model, session_options(threads), use_library=not functions)
    stated = stated_accuracy(metadata(proto), model)
    labels = stated_labels(metadata(proto))
    names = result_names(proto)
    results: list[dict[str, Any]] = []
    given = session.get_inputs()[0].name
    for name, array in _inputs(proto, images, random):
        arrays = run_session(session, {given: array}, model, names)
        found = {output: one for output, (one,) in zip(names, arrays, strict=True)}
        if "logits" in found:
            best = best_classes(found["logits"], top, labels)
            _show(name, best)
            results.append({"image": name, "top": best, "logits": found["logits"].tolist()})
        else:
            console.print(name, style="bold")
            for output, one in found.items():
                console.print(f"  {output} {list(one.shape)}")
            results.append({"image": name} | {key: one.tolist() for key, one in found.items()})
    if stated:
        console.print(f"{model} states top-1 {stated}")
    accuracy = stated.to_dict() if stated else None
    write_json(json_file, {"model": str(model), "accuracy": accuracy, "results": results})


def _inputs(
    model: onnx.ModelProto, images: list[Path] | None, seed: int | None
) -> Iterator[tuple[str, np.ndarray]]:
    if images:
        preprocessing = ModelInput.from_metadata(metadata(model))
        for path in images:
            yield str(path), preprocessing.load(path)
    elif seed is not None:
        yield f"random image {seed}", model_images(model, None, 1, seed)


def _show(image: str, best: list[dict[str, Any]]) -> None:
    console.print(image, style="bold")
    for entry in best:
        name = entry["label"] or f"class {entry['class']}"
        console.print(f"  {100 * entry['probability']:6.2f}%  {name}")
