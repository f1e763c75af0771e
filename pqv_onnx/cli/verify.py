"""``pqv verify``: the same bits, whichever way a model is run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer
from rich.table import Table
from rich.text import Text

from pqv_onnx.cli.options import (
    MAX_SEED,
    JsonOption,
    ModelArgument,
    check_json,
    console,
    write_json,
)
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import is_standard, load_model
from pqv_onnx.text import decimals, printable
from pqv_onnx.verification import Comparison, verify_model
from pqv_onnx.verification.runners import all_runners
from pqv_onnx.verification.verify import default_batches


def command(
    model: ModelArgument,
    checkpoint: Annotated[
        Path | None, typer.Option(help="QAT checkpoint of the model: compares the torch oracle.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Inputs as .npy, in the model's type and layout.")
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch size, repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the random images.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Compare every way to run MODEL, at every node and at the output, bit for bit.

    The torch oracle (with --checkpoint), stock onnxruntime with the model's functions, and the
    op library with each ISA variant of this machine, on 1 thread and on all.
    Exits 1 and names the first node that differs, if one does.

    Of a QDQ or float file, which other runtimes compute as they like, how far every value is from
    the checkpoint's: codes that are equal, signal to noise.

    Example: `pqv verify m.onnx --batch 1 --batch 3`
    """
    check_json(json_file, model, checkpoint, images)
    given = _load(images) if images is not None else None
    proto = load_model(model)
    batches = batch or default_batches(proto)
    if is_standard(proto):
        _verify_standard(model, proto, checkpoint, given, max(batches), seed, json_file)
        return
    with Bars() as bars:
        task = bars.add_task(
            "verifying", total=(len(all_runners()) - (checkpoint is None)) * len(batches)
        )

        def show(comparison: Comparison) -> None:
            console.print(_line(comparison))
            bars.advance(task)

        report = verify_model(
            proto, checkpoint=checkpoint, images=given, batches=batches, seed=seed, progress=show
        )
    write_json(
        json_file,
        {
            "model": str(model),
            "bit_exact": report.bit_exact,
            "float_nodes": report.float_nodes,
            "comparisons": [_record(comparison) for comparison in report.comparisons],
        },
    )
    report.check(model)
    console.print(f"{model} is bit-exact: {len(report.comparisons)} comparisons, no difference")


def _verify_standard(
    model: Path,
    proto: onnx.ModelProto,
    checkpoint: Path | None,
    images: np.ndarray | None,
    count: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Show how far a file of standard ops is from its checkpoint."""
    if checkpoint is None:
        raise PqvError(f"{model} has standard ops only: --checkpoint, which it was exported from")
    from pqv_onnx.verification.distance import standard_distances

    with status.working("running it on onnxruntime"):
        found = standard_distances(proto, checkpoint, images=images, count=count, seed=seed)
    table = Table("value", "equal codes, %", "SQNR, dB", title=f"{model} beside {checkpoint}")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found:
        equal = "" if each.equal is None else decimals(100 * each.equal)
        sqnr = "no noise" if each.sqnr is None else f"{each.sqnr:.1f}"
        table.add_row(printable(each.name), equal, sqnr)
    console.print(table)
    write_json(json_file, {"model": str(model), "values": [asdict(each) for each in found]})


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    # A damaged or hostile file can fail in any way.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise PqvError(f"{path}: not a .npy file that can be read: {reason}") from error
    if not isinstance(array, np.ndarray):
        raise PqvError(f"{path}: an .npz archive, a single .npy array is needed")
    return array


def _record(comparison: Comparison) -> dict[str, str | int | None]:
    difference = comparison.difference
    return {
        "reference": comparison.reference,
        "candidate": comparison.candidate,
        "batch": comparison.batch,
        "compared": comparison.compared,
        "first_difference": str(difference) if difference else None,
    }


def _line(comparison: Comparison) -> Text:
    verdict = ("same bits", "green")
    if comparison.difference is not None:
        verdict = (printable(str(comparison.difference)), "red")
    return Text.assemble(
        f"{comparison.candidate:24} = {comparison.reference}, batch {comparison.batch}, "
        f"{comparison.compared} nodes: ",
        verdict,
    )
