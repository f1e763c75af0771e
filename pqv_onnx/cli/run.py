"""``pqv run``: a model on images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer
from rich import print as rich_print

from pqv_onnx.cli.options import JsonOption, ModelArgument, check_json, write_json
from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, metadata
from pqv_onnx.runtime.preprocess import Preprocessing
from pqv_onnx.runtime.session import InferenceSession, one_line
from pqv_onnx.verify.verify import model_images


def command(
    model: ModelArgument,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE]...", help="Image files to classify.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(metavar="SEED", help="Run one random image instead.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    threads: Annotated[int, typer.Option(min=0, help="0 for all cores.")] = 0,
    functions: Annotated[
        bool, typer.Option("--functions", help="Stock onnxruntime, without the op library.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Classify images with MODEL and show the best classes.

    Example: `pqv run m.onnx cat.jpg` or `pqv run m.onnx --random 0`
    """
    if bool(images) == (random is not None):
        raise typer.BadParameter("give image files, or --random SEED")
    check_json(json_file)
    proto = load_model(model)
    entries = metadata(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(model, options, use_library=not functions)
    labels = json.loads(entries.get("pqv.labels", "[]"))
    results = []
    if images:
        preprocessing = Preprocessing.from_metadata(entries)
        inputs = ((str(path), preprocessing.load(path)) for path in images)
    else:
        inputs = iter([(f"random {random}", model_images(proto, None, 1, random or 0))])
    for name, array in inputs:
        logits = _run(session, array)
        results.append({"image": name, "top": _best(logits, top, labels), "logits": logits.tolist()})
        _show(results[-1])
    write_json(json_file, {"model": str(model), "results": results})


def _run(session: onnxruntime.InferenceSession, array: np.ndarray) -> np.ndarray:
    try:
        (logits,) = session.run(None, {session.get_inputs()[0].name: array})
    except Exception as error:
        raise PqvError(f"onnxruntime: {one_line(error)}") from error
    return np.asarray(logits[0])


def _best(logits: np.ndarray, top: int, labels: list[str]) -> list[dict[str, Any]]:
    # Logits of the highest first; on a tie the lower class, as argmax has it.
    order = np.argsort(-logits, kind="stable")[:top]
    return [
        {
            "class": int(index),
            "label": labels[index] if index < len(labels) else None,
            "logit": float(logits[index]),
        }
        for index in order
    ]


def _show(result: dict[str, Any]) -> None:
    rich_print(f"[bold]{result['image']}[/]")
    for entry in result["top"]:
        rich_print(f"  {entry['class']:5}  {entry['logit']:9.4f}  {entry['label'] or ''}")
