"""`python -m benchmarks.accuracy.pretrained`: see README.md beside this file."""

from __future__ import annotations

import copy
import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

import torch
import typer
from rich.console import Console
from safetensors.torch import load, save
from torch import Tensor, nn

from benchmarks.accuracy.pretrained import peers, report
from benchmarks.accuracy.pretrained.data import load_images, load_pixels
from benchmarks.accuracy.pretrained.evaluate import (
    Outputs,
    Runner,
    kept_outputs,
    our_runner,
    peer_runner,
    run,
    score,
)
from benchmarks.accuracy.pretrained.model import HEAD_IMAGES, OUTPUT, load_model
from benchmarks.accuracy.pretrained.quantize import (
    calibrated_key,
    export,
    is_trained_in_float,
    quantize,
    train,
    trained_key,
)
from benchmarks.accuracy.pretrained.rows import Row, select
from pqv_onnx.checkpoint import load_qat, save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder, write_atomically
from pqv_onnx.qat import QuantModel

Model = TypeVar("Model", bound=nn.Module)
console = Console(highlight=False, markup=False, soft_wrap=True)


class Benchmark:
    """One run: what all rows share is made when the first one needs it."""

    def __init__(
        self,
        settings: report.Settings,
        data: Path | None,
        output: Path,
        threads: int,
        again: bool = False,
    ):
        self.settings, self.data, self.output = settings, data, output
        self.threads, self.again = threads, again

    @cached_property
    def model(self) -> nn.Module:
        """The float model."""
        found = self.settings
        return load_model(
            found.image_size,
            self.output,
            head_images=found.head_images,
            data=self.data,
            progress=console.print,
        )

    @cached_property
    def test(self) -> tuple[Tensor, Tensor]:
        """Pixels and classes of the test images."""
        return self._pixels("test", self.settings.test_images)

    @cached_property
    def images(self) -> Tensor:
        """Normalised images to calibrate on."""
        found = self.settings
        return load_images(
            "train",
            found.calibration_images,
            found.seed,
            image_size=found.image_size,
            data=self.data,
        )[0]

    @cached_property
    def fp32(self) -> Path:
        """The float model's ONNX file, which peers start from."""
        path = make_folder(self.output / "models") / "float.onnx"
        peers.export_float(self.model, self.settings.image_size, path)
        return path

    @cached_property
    def reference(self) -> Outputs:
        """The float model's outputs, by onnxruntime; kept, for they take minutes."""
        return kept_outputs(
            self.output / f"float_outputs_{self.settings.test_images}.safetensors",
            str(self.settings.of_float),
            lambda: run(peer_runner(self.fp32, self.threads), self.test[0]),
        )

    def run(self, row: Row) -> report.Result:
        """Make a row's model and evaluate it."""
        reference, (pixels, labels) = self.reference, self.test
        started = time.monotonic()
        if row.kind == "float" and not row.options:
            return report.Result(row, score(reference, reference, labels), 0.0)
        runner = self._runner(row)
        minutes = (time.monotonic() - started) / 60
        return report.Result(row, score(run(runner, pixels), reference, labels), minutes)

    def _runner(self, row: Row) -> Runner:
        folder = make_folder(self.output / "models" / row.key)
        if row.kind == "peer":
            path = peers.make(self.fp32, self.images.numpy(), folder, **row.options)
            return peer_runner(path, self.threads)
        path = folder / "model.onnx"
        if row.kind == "float":
            peers.export_float(self._trained_float(row), self.settings.image_size, path)
            return peer_runner(path, self.threads)
        if is_trained_in_float(row):
            model = quantize(row, self._trained_float(row), self.images)
        else:
            model = self._trained(row, self._calibrated(row))
        export(model, path)
        return our_runner(path, self.threads, model, self.model.norm)

    def _calibrated(self, row: Row) -> QuantModel:
        """The model of a row before training; kept, for rows that differ in training only."""
        key = calibrated_key(row, self.settings.of_calibration)
        path = make_folder(self.output / "calibrated") / f"{key}.safetensors"
        if self.again or not path.is_file():
            save_qat(path, quantize(row, self.model, self.images))
        return load_qat(path)

    def _trained_float(self, row: Row) -> nn.Module:
        """The float model trained as a row says; kept, for rows that differ in what follows."""
        name = f"{trained_key(row, self.settings.of_training)}.safetensors"
        path, model = make_folder(self.output / "trained") / name, copy.deepcopy(self.model)
        if self.again or not path.is_file():
            write_atomically(path, save(self._trained(row, model).state_dict()))
        model.load_state_dict(load(path.read_bytes()))
        return model

    def _trained(self, row: Row, model: Model) -> Model:
        count, seed = self.settings.train_images, self.settings.seed
        train(row, model, self.model, lambda: self._pixels("train", count), self.images, seed)
        return model

    def _pixels(self, split: str, count: int) -> tuple[Tensor, Tensor]:
        size = self.settings.image_size
        return load_pixels(split, count, self.settings.seed, image_size=size, data=self.data)


def main(
    rows: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Rows as 'w4a4 *'; repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Peers, and three of ours each.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Finished rows, too.")] = False,
    list_rows: Annotated[bool, typer.Option("--list", help="Show these rows' names.")] = False,
    test_images: Annotated[int, typer.Option(min=1)] = 10_000,
    calibration_images: Annotated[int, typer.Option(min=1)] = 256,
    train_images: Annotated[int, typer.Option(min=1, help="Of an epoch of training.")] = 10_000,
    head_images: Annotated[int, typer.Option(min=1, help="For the linear head.")] = HEAD_IMAGES,
    image_size: Annotated[int, typer.Option(help="In pixels, a multiple of 14.")] = 112,
    data: Annotated[
        Path | None, typer.Option(help="Folder of train/CLASS and validation/CLASS.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of all files.")] = OUTPUT,
    seed: Annotated[int, typer.Option(help="Of the choice of calibration images.")] = 0,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Measure what quantization costs a pretrained model, one row after the other."""
    torch.set_num_threads(threads)
    logging.getLogger().setLevel(logging.ERROR)  # onnxruntime warns of every norm's weight
    settings = report.Settings(
        data=str(data or "fashion-mnist"),
        image_size=image_size,
        head_images=head_images,
        calibration_images=calibration_images,
        train_images=train_images,
        test_images=test_images,
        seed=seed,
    )
    try:
        chosen = select(rows or (), quick)
        if list_rows:
            console.print("\n".join(row.key for row in chosen))
            return
        benchmark = Benchmark(settings, data, make_folder(output), threads, again)
        failed = run_rows(benchmark, chosen, again)
    except PqvError as error:
        console.print(f"error: {error}")
        raise typer.Exit(1) from None
    if (table := output / "results.md").is_file():  # not where no row is finished
        console.print(f"results of all finished rows: {table}")
    if failed:
        raise typer.Exit(1)


def run_rows(benchmark: Benchmark, rows: list[Row], again: bool = False) -> list[str]:
    """Run the rows that are not finished yet; each one's result is kept at once.

    Returns:
        The keys of those that failed.
    """
    path = benchmark.output / "results.csv"
    finished = {} if again else report.read_results(path, benchmark.settings)
    failed, left = [], [row for row in rows if row.key not in finished]
    if left:
        _ = benchmark.reference  # all rows need it: what is wrong with it is no row's mistake
    for row in left:
        try:
            result = benchmark.run(row)
        except Exception as failure:  # whatever a tool raises: the other rows go on
            console.print(f"{row.key}: failed: {' '.join(str(failure).split()) or repr(failure)}")
            failed.append(row.key)
            continue
        report.add_result(path, benchmark.settings, result)
        report.write_report(path, benchmark.settings)
        found = result.scores
        console.print(
            f"{row.key}: top-1 {found.top1:.2f}, SQNR {found.sqnr:.1f} dB, "
            f"cosine {found.cosine:.4f}, {result.minutes:.1f} minutes"
        )
    report.write_report(path, benchmark.settings)
    return failed


if __name__ == "__main__":
    typer.run(main)
