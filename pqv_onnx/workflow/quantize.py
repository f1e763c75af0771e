"""One command in, an app-ready folder out: calibrate, export, evaluate, verify, time, describe."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import nn

from pqv_onnx.checkpoint import is_qat, load_qat, save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.files import absolute, file_hash, write_atomically
from pqv_onnx.graph.accuracy import StatedAccuracy, write_accuracy
from pqv_onnx.graph.classes import check_top_k
from pqv_onnx.graph.export import About, export_qat
from pqv_onnx.progress import Progress, silent
from pqv_onnx.qat import Calibration, QuantModel, convert_to_qat
from pqv_onnx.qat.build import refusing
from pqv_onnx.qat.convert import check, default_task, for_task
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.calibration import (
    analyse,
    calibrate_to,
    name_classes,
    read_images,
    read_labels_of,
)
from pqv_onnx.train.evaluate import (
    Accuracy,
    Subject,
    evaluate_split,
    float_subject,
    onnx_subject,
    remembering,
)
from pqv_onnx.train.folders import check_names
from pqv_onnx.train.parts import Parts, divide
from pqv_onnx.train.sensitivity import assign_bits
from pqv_onnx.workflow.card import write_card
from pqv_onnx.workflow.folder import ResultFolder
from pqv_onnx.workflow.measure import describe_weights, licence, measure
from pqv_onnx.workflow.options import MIXED, Options

MODEL, REPORT, CARD = "model.onnx", "report.json", "README.md"
CHECKPOINT = "model.safetensors"
_SENSITIVITY_IMAGES = 64
"""Images that each layer's sensitivity is measured on."""
_NOISE_IMAGES = 32
"""Images that the noise behind each part is measured on."""


@dataclass(frozen=True)
class Candidate:
    """A precision that was tried.

    Attributes:
        precision: of ``LADDER``, or the checkpoint's.
        path: the exported file.
        accuracy: in onnxruntime.
        reference: the float model's; None without float weights.
        size: of the file in bytes.
        drop: percentage points lost against float; None if that cannot be said.
    """

    precision: str
    path: Path
    accuracy: Accuracy
    reference: Accuracy | None
    size: int
    drop: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "precision": self.precision,
            "bytes": self.size,
            "drop": self.drop,
            **self.accuracy.to_dict(),
        }


@dataclass(frozen=True)
class _Start:
    """What every precision starts from."""

    name: str
    options: Options
    float_model: nn.Module | None
    float_subject: Subject | None
    checkpoint: QuantModel | None
    parts: Parts
    task: str


def quantize(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: Options,
    *,
    progress: Progress = silent,
    tried: Callable[[Candidate], None] = lambda candidate: None,
) -> dict[str, Any]:
    """Quantize a model on some images and write all that an app needs to a folder.

    The folder has ``model.onnx``, the checkpoint ``model.safetensors``, ``report.json`` and a model
    card, ``README.md``. It appears when it is complete; a run that was stopped goes on when it is
    given again.

    Args:
        model: timm's name of a float model, or a QAT checkpoint.
        output: the folder, which is not there yet.
        options: how, and on which images.
        progress: told of each stage.
        tried: called with each precision that was evaluated.

    Returns:
        What is in ``report.json``.

    Raises:
        PqvError: an option, the model or the data are not as they should be; the folder's classes
            do not fit the model's; no precision holds ``max_drop``; or the exported file is not
            bit-exact.
    """
    folder = ResultFolder(output)
    start = _start(os.fspath(model), options)
    weights = describe_weights(start.float_model, options, start.checkpoint)
    with folder.open(options.key(start.name, weights, *start.parts.calibrated_on)):
        return _fill(folder, start, weights, progress, tried)


def _fill(
    folder: ResultFolder,
    start: _Start,
    weights: dict[str, Any],
    progress: Progress,
    tried: Callable[[Candidate], None],
) -> dict[str, Any]:
    """Make all files, and the folder whole; the report that is in it."""
    options = start.options
    candidates = _choose(start, folder.path, progress, tried)
    chosen = candidates[-1]
    stated = _state_accuracy(chosen, start)
    quantized = load_qat(chosen.path.with_suffix(".safetensors"))
    images = read_images(
        quantized.config,
        start.parts.evaluation,
        _NOISE_IMAGES,
        seed=options.seed,
        skip=start.parts.skip,
    )
    report = {
        "model": start.name,
        "task": start.task,
        "precision": chosen.precision,
        "input": options.input,
        "top_k": options.top_k,
        "max_drop": options.max_drop,
        "weights": weights,
        "data": _describe_data(start),
        "float": chosen.reference and chosen.reference.to_dict(),
        "quantized": chosen.accuracy.to_dict(),
        "stated": stated and stated.to_dict(),
        "tried": [candidate.to_dict() for candidate in candidates],
        **measure(chosen.path, quantized, start.float_model, torch.cat(images), progress),
    }
    shutil.copyfile(chosen.path, folder.path / MODEL)
    shutil.copyfile(chosen.path.with_suffix(".safetensors"), folder.path / CHECKPOINT)
    report["sha256"] = {name: file_hash(folder.path / name) for name in (MODEL, CHECKPOINT)}
    write_atomically(folder.path / REPORT, (json.dumps(report, indent=2) + "\n").encode())
    names = write_card(folder.path, report)
    folder.finish({MODEL, CHECKPOINT, REPORT, *names})
    return report


def _start(model: str, options: Options) -> _Start:
    """Load what there is, and refuse what does not fit, before any work."""
    if model.lower().endswith(".onnx"):
        raise PqvError(
            f"{model}: an exported file cannot be quantized again: give timm's name, and --weights "
            "with the float weights (.safetensors, .pth, .pt) or --pretrained"
        )
    parts = divide(
        options.dataset,
        None if options.data is None else str(options.data),
        options.workers,
        options.images,
        options.evaluation_images,
    )
    checkpoint, source, name = None, options.source, model
    if Path(model).is_file() or model.endswith(".safetensors"):
        checkpoint = _load_checkpoint(model, options)
        name = checkpoint.config.backbone.architecture
    elif not source.given:
        raise PqvError("give --weights, --random-weights or --pretrained")
    float_model = source.load(name) if source.given else None
    if checkpoint is not None:
        backbone = checkpoint.config.backbone
        task, classes = backbone.task, backbone.num_classes
    else:
        assert float_model is not None
        task = options.task or default_task(float_model)
        seen = "embedding" if task == "unit_embedding" else task  # its length is taken outside
        with refusing(name):
            check(for_task(float_model, seen), QuantSpec.preset("w8a8"), seen)
        classes = int(float_model.num_classes) if task == "logits" else 0  # type: ignore[arg-type]
    if options.top_k is not None:
        check_top_k(options.top_k, task, classes)
    if options.labels is not None:
        read_labels_of(options.labels, classes)
    if task == "logits":
        check_names(parts.classes, classes, options.data)
    elif options.by_classes:
        raise PqvError(f"a largest drop and {MIXED} need logits, the model gives {task}")
    reference = None
    if float_model is not None:
        reference = float_subject(f"{name}, {source}", float_model, task=task)
        if options.max_drop is not None:  # for several precisions
            reference = remembering(reference)
    return _Start(name, options, float_model, reference, checkpoint, parts, task)


def _load_checkpoint(path: str, options: Options) -> QuantModel:
    """Load a checkpoint, and refuse options that would make another model of it."""
    if not is_qat(Path(path)):
        raise PqvError(f"{path}: is no QAT checkpoint; give timm's name and --weights {path}")
    if options.max_drop is not None or options.precision is not None:
        raise PqvError(f"{path}: has a precision, --precision and --max-drop would choose one")
    if options.quick or options.steps is not None or options.task is not None:
        raise PqvError(f"{path}: is calibrated and has a task: leave out --quick, --steps, --task")
    of_floats = options.num_classes is not None or options.image_size is not None
    if of_floats and not options.source.given:
        raise PqvError(f"{path}: has a head and a size: leave out --num-classes and --image-size")
    return load_qat(path)


def _choose(
    start: _Start,
    folder: Path,
    progress: Progress,
    tried: Callable[[Candidate], None],
) -> list[Candidate]:
    """Try precisions until one holds the largest drop; it is the last of those returned."""
    candidates: list[Candidate] = []
    largest = start.options.max_drop
    precisions = start.options.precisions
    if start.checkpoint is not None:
        precisions = (start.checkpoint.config.spec.name,)
    for precision in precisions:
        candidates.append(_try(start, precision, folder, progress))
        tried(candidates[-1])
        drop = candidates[-1].drop
        if largest is None or (drop is not None and drop <= largest):
            return candidates
    best = min(candidates, key=lambda candidate: candidate.drop or 0.0)
    images = best.accuracy.images
    raise PqvError(
        f"no precision loses {largest} points at most: the best, {best.precision}, loses "
        f"{best.drop:.2f} (one of {images} images is {100 / images:.2f}): give more images, "
        f"a larger --max-drop or --precision {best.precision}; "
        f"what was calibrated is kept in {folder}"
    )


def _try(start: _Start, precision: str, folder: Path, progress: Progress) -> Candidate:
    name = "checkpoint" if start.checkpoint is not None else precision
    checkpoint, path = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    if not checkpoint.exists():
        _calibrate(start, precision, checkpoint, progress)
    progress(f"{name}: exporting", 0, 1)
    about = About(license=licence(start.float_model, start.options))
    ends: dict[str, Any] = {"input": start.options.input, "top_k": start.options.top_k}
    export_qat(load_qat(checkpoint), path, **ends, about=about)
    progress(f"{name}: exporting", 1, 1)
    own = onnx_subject(path, use_library=True)
    reference = start.float_subject
    subjects = [*([] if reference is None else [reference]), replace(own, name=name)]
    parts, options = start.parts, start.options
    found = evaluate_split(
        subjects,
        parts.evaluation,
        options.batch_size,
        limit=parts.evaluation_images,
        seed=options.seed,
        skip=parts.skip,
        progress=_with(name, progress),
    )
    floats = None if reference is None else found[0]
    size, drop = path.stat().st_size, _drop(floats, found[-1])
    return Candidate(precision, path, found[-1], floats, size, drop)


def _calibrate(start: _Start, precision: str, checkpoint: Path, progress: Progress) -> None:
    """Write the calibrated checkpoint."""
    options, model = start.options, start.float_model
    if start.checkpoint is not None:
        own = start.checkpoint.config.labels is None
        name_classes(start.checkpoint, options.labels, start.parts.calibration if own else None)
        save_qat(checkpoint, start.checkpoint)
        return
    assert model is not None
    spec = QuantSpec.preset("w8a8" if precision == MIXED else precision)
    quantized = convert_to_qat(model, spec, task=start.task)
    name_classes(quantized, options.labels, start.parts.calibration)
    inputs = read_images(
        quantized.config,
        start.parts.calibration,
        start.parts.calibration_images,
        options.batch_size,
        options.seed,
        progress=progress,
    )
    if precision == MIXED:
        few = list(torch.cat(inputs)[:_SENSITIVITY_IMAGES].split(options.batch_size))
        found = analyse(model, spec, few, progress)
        bits = assign_bits(found, (found.smallest + found.largest) // 2)
        labels = quantized.config.labels
        quantized = convert_to_qat(model, replace(spec, weight_bits=bits), labels=labels)
    how = Calibration.of(quick=options.quick, steps=options.steps, seed=options.seed)
    calibrate_to(checkpoint, quantized, inputs, how, _with(precision, progress))


def _with(name: str, progress: Progress) -> Progress:
    """Progress whose stages begin with a name."""
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)


def _drop(reference: Accuracy | None, own: Accuracy) -> float | None:
    """Percentage points lost: of top-1, or of images that keep their class if none is known."""
    if reference is not None and not math.isnan(reference.top1):
        return reference.top1 - own.top1
    if own.agreement is not None and not math.isnan(own.agreement.same):
        return 100 - own.agreement.same
    return None


def _state_accuracy(chosen: Candidate, start: _Start) -> StatedAccuracy | None:
    """Write the top-1, where it is known, into the file."""
    if math.isnan(chosen.accuracy.top1):
        return None
    runtime = f"onnxruntime {onnxruntime.__version__}"
    own = chosen.accuracy
    stated = StatedAccuracy(own.top1, own.images, _describe_data(start)["name"], runtime)
    write_accuracy(chosen.path, stated)
    return stated


def _describe_data(start: _Start) -> dict[str, Any]:
    parts, options = start.parts, start.options
    return {
        "name": options.dataset or absolute(options.data or "").name,
        "calibration": f"{parts.calibration_images} of {parts.calibration.name}",
        "calibration_images": parts.calibration_images,
        "evaluation_images": parts.evaluation_images,
        "held_out": bool(parts.skip),
        "labelled": parts.labelled,
        "classes": list(parts.classes),
    }
