"""The demo's steps: train, quantize, export, verify, evaluate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import timm
import torch
from rich.console import Console
from torch import nn

from pqv_onnx import InferenceSession
from pqv_onnx.checkpoint import save_qat
from pqv_onnx.demo import data
from pqv_onnx.demo.latency import median_latencies
from pqv_onnx.demo.model import MODEL_NAME
from pqv_onnx.demo.train import Schedule, fit, predict, top1
from pqv_onnx.graph import export_onnx
from pqv_onnx.graph.accuracy import StatedAccuracy, write_accuracy
from pqv_onnx.graph.float_model import export_float
from pqv_onnx.graph.summary import inspect_model
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import calibrate, convert_to_qat
from pqv_onnx.spec import QuantSpec
from pqv_onnx.verification import verify_model

PRECISIONS = ("w8a8", "w4a4")


@dataclass(frozen=True)
class Settings:
    """How much work the demo does.

    The schedules were chosen on a part of the training images that was held out for that.
    """

    float_schedule: Schedule = Schedule(epochs=80, learning_rate=1e-3)
    qat_schedules: dict[str, Schedule] = field(
        default_factory=lambda: {
            "w8a8": Schedule(epochs=6, learning_rate=1e-4),
            "w4a4": Schedule(epochs=20, learning_rate=3e-4),
        }
    )
    train_images: int | None = None
    test_images: int | None = None
    calibration_images: int = 256
    latency_runs: int = 200


QUICK = Settings(
    float_schedule=Schedule(epochs=1, learning_rate=1e-3, warmup_epochs=0),
    qat_schedules={
        precision: Schedule(epochs=1, learning_rate=1e-4, warmup_epochs=0)
        for precision in PRECISIONS
    },
    train_images=128,
    test_images=40,
    calibration_images=64,
    latency_runs=5,
)


@dataclass(frozen=True)
class Result:
    """What the demo found: the report, and the test images with W4A4's answers."""

    report: dict[str, Any]
    test: data.Split
    predictions: np.ndarray


def run(output: Path, settings: Settings, seed: int, console: Console) -> Result:
    """Run the whole demo and leave its models in ``output``.

    Args:
        output: an existing folder; float.onnx, w8a8.onnx, w4a4.onnx and the checkpoints of
            the latter two are written there.
        settings: how much work to do.
        seed: of the initial weights, the order of the images and the augmentation.
        console: where to say what is being done.

    Raises:
        PqvError: an export or a verification could not be carried out.
    """
    train, test = data.load_split()
    train, test = train.subset(settings.train_images), test.subset(settings.test_images)
    torch.manual_seed(seed)
    teacher = timm.create_model(MODEL_NAME)
    fit(teacher, train, settings.float_schedule, seed=seed, title="float")
    export_float(teacher, output / "float.onnx", (1, data.IMAGE_SIZE, data.IMAGE_SIZE))
    report: dict[str, Any] = {
        "data": {"train": len(train), "test": len(test)},
        "float": {"top1": top1(predict(teacher, test.images), test.labels)},
    }
    logits = np.empty(0)
    for precision in PRECISIONS:
        report[precision], logits = quantize(
            teacher, train, test, precision, settings, output, seed, console
        )
    add_files(report, output, data.normalize(test.images[:1]).numpy(), settings.latency_runs)
    return Result(report, test, logits.argmax(axis=1))


def quantize(
    teacher: nn.Module,
    train: data.Split,
    test: data.Split,
    precision: str,
    settings: Settings,
    output: Path,
    seed: int,
    console: Console,
) -> tuple[dict[str, Any], np.ndarray]:
    """Quantization-aware training, conversion, export and evaluation at one precision.

    Returns:
        this precision's part of the report, and onnxruntime's logits [n, 10] of the test set.
    """
    path, checkpoint = output / f"{precision}.onnx", output / f"{precision}.safetensors"
    qat_model = convert_to_qat(teacher, QuantSpec.preset(precision), labels=data.LABELS)
    chosen = train.images[: settings.calibration_images]
    calibrate(qat_model, data.normalize(chosen).split(64))
    schedule = settings.qat_schedules[precision]
    fit(qat_model, train, schedule, seed=seed, title=precision, teacher=teacher)
    save_qat(checkpoint, qat_model)
    oracle = convert_to_integer(qat_model)

    console.print(f"{precision}: exporting, verifying, evaluating on {len(test)} test images")
    export_onnx(oracle, path)
    images = data.normalize(test.images).numpy()
    verification = verify_model(path, checkpoint=checkpoint, images=images)
    logits = {
        "top1_fakequant": predict(qat_model, test.images).numpy(),
        "top1_oracle": predict(oracle, test.images).numpy(),
        "top1_onnxruntime": run_onnxruntime(path, images, use_library=True),
        "top1_functions": run_onnxruntime(path, images, use_library=False),
    }
    same_logits = all(
        np.array_equal(logits["top1_oracle"], logits[way])
        for way in ("top1_onnxruntime", "top1_functions")
    )
    section = {way: top1(torch.from_numpy(found), test.labels) for way, found in logits.items()}
    runtime = f"onnxruntime {onnxruntime.__version__}"
    stated = StatedAccuracy(section["top1_onnxruntime"], len(test), "digits, test", runtime)
    write_accuracy(path, stated)
    section["float_nodes"] = len(inspect_model(path)["float_nodes"])
    section["bit_exact"] = same_logits and verification.bit_exact
    return section, logits["top1_onnxruntime"]


def run_onnxruntime(
    path: Path, images: np.ndarray, use_library: bool, batch_size: int = 64
) -> np.ndarray:
    """Logits [n, 10] of float images [n, 1, 32, 32], batch by batch."""
    session = InferenceSession(path, use_library=use_library)
    name = session.get_inputs()[0].name
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [session.run(None, {name: images[start : start + batch_size]})[0] for start in starts]
    )


def add_files(report: dict[str, Any], output: Path, image: np.ndarray, runs: int) -> None:
    """Add to the report the size and the latency of the three files, timed side by side."""
    names = ("float", *PRECISIONS)
    paths = [output / f"{name}.onnx" for name in names]
    for name, path, latency in zip(names, paths, median_latencies(paths, image, runs), strict=True):
        report[name]["bytes"] = path.stat().st_size
        report[name]["latency_ms"] = latency
