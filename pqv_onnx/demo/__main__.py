"""``python -m pqv_onnx.demo``: run the demo, print its table, write its report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from rich.console import Console

from pqv_onnx.errors import PqvError
from pqv_onnx.files import make_folder, write_atomically
from pqv_onnx.missing import missing_module


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns the exit code, 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m pqv_onnx.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order, augmentation")
    parser.add_argument(
        "--quick", action="store_true", help="a few images and epochs: every step, no accuracy"
    )
    options = parser.parse_args(arguments)
    console = Console()
    try:
        return _run(options.output, options.quick, options.seed, console)
    except (PqvError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"error: {missing_module(error.name or '', 'the demo')}", file=sys.stderr)
        return 1


def _run(output: Path, quick: bool, seed: int, console: Console) -> int:
    import torch

    from pqv_onnx.demo import pipeline, report

    start = time.monotonic()
    # The rounding of float sums depends on the number of threads. With one, a seed trains the
    # same models on any number of cores; matrices this small gain little from more.
    torch.set_num_threads(1)
    make_folder(output)
    settings = pipeline.QUICK if quick else pipeline.Settings()
    result = pipeline.run(output, settings, seed, console)
    text = json.dumps(result.report, indent=2) + "\n"
    write_atomically(output / "report.json", text.encode())
    report.draw(result.report, result.test, result.predictions, output / "demo.png")
    console.print(report.make_table(result.report))
    console.print(f"{time.monotonic() - start:.0f} s; models, report and picture in {output}")
    # After a few steps of training nobody promises accuracy; bits are always promised.
    judge = report.broken_bits if quick else report.missed_promises
    for sentence in (missed := judge(result.report)):
        console.print(f"[red]missed:[/red] {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
