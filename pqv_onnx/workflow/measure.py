"""What is measured of an exported file, and where its weights are from."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pqv_onnx.bench.machine import describe_machine
from pqv_onnx.bench.memory import peak_memory
from pqv_onnx.bench.session import TimedSession
from pqv_onnx.bench.statistics import summarize
from pqv_onnx.bench.turns import take_turns
from pqv_onnx.files import file_hash
from pqv_onnx.graph.float_model import export_float
from pqv_onnx.graph.load import load_model
from pqv_onnx.graph.notes import write_noise
from pqv_onnx.progress import Progress
from pqv_onnx.qat import QuantModel, convert_to_qat
from pqv_onnx.qat.convert import for_task, image_size, pretrained_cfg
from pqv_onnx.qat.noise import segment_sqnr
from pqv_onnx.verification import verify_model
from pqv_onnx.verification.runners import all_runners
from pqv_onnx.verification.verify import default_batches
from pqv_onnx.version import __version__
from pqv_onnx.workflow.options import Options

_RUNS, _SECONDS = 30, 20.0
"""Timed inferences of each model, and how long they may take."""
_PACKAGES = ("onnxruntime", "torch", "timm", "numpy")


def measure(
    path: Path,
    model: QuantModel,
    float_model: nn.Module | None,
    images: Tensor,
    progress: Progress,
) -> dict[str, Any]:
    """Verify and measure an exported file beside its float model; it is told its noise.

    Args:
        path: the file; ``NAME.safetensors`` beside it is its checkpoint.
        model: that checkpoint's.
        float_model: what it was made from, if it is known.
        images: to measure the noise on, normalised, [B, C, H, W].
        progress: told of each step.

    Raises:
        PqvError: the file is not bit-exact, or a model cannot be run.
    """
    result: dict[str, Any] = {
        "verification": _verify(path, path.with_suffix(".safetensors"), progress),
        "machine": {"pqv_onnx": __version__, **describe_machine(_PACKAGES)},
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {"quantized": path}
        if float_model is not None:
            result["sqnr"] = _sqnr(model, float_model, images)
            write_noise(path, result["sqnr"])
            paths["float"] = Path(folder) / "float.onnx"
            progress("exporting the float model", 0, 1)
            backbone = model.config.backbone
            reference = for_task(float_model, backbone.task)
            export_float(reference, paths["float"], image_size(float_model), backbone.outputs)
            progress("exporting the float model", 1, 1)
        return {**result, **_compare(paths, progress)}


def describe_weights(
    float_model: nn.Module | None, options: Options, checkpoint: QuantModel | None
) -> dict[str, Any]:
    """Where the weights are from, a hash of them, and their licence as far as timm knows it."""
    source = options.source
    if checkpoint is not None:
        found = {"source": "a checkpoint", "sha256": checkpoint.checkpoint_sha256}
    elif source.weights is not None:
        found = {"source": source.weights.name, "sha256": file_hash(source.weights)}
    else:
        assert float_model is not None
        found = {"source": str(source), "sha256": _tensors_hash(float_model)}
    known = _pretrained(float_model, options)
    return {
        **found,
        "random": options.random_weights is not None,
        "new_head": options.num_classes is not None,
        "licence": known.get("license"),
        "origin": known.get("hf_hub_id") or known.get("url"),
    }


def licence(float_model: nn.Module | None, options: Options) -> str | None:
    """The licence of the weights as far as timm knows it."""
    return _pretrained(float_model, options).get("license")


def _pretrained(float_model: nn.Module | None, options: Options) -> Mapping[str, Any]:
    return pretrained_cfg(float_model) if options.pretrained and float_model is not None else {}


def _tensors_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _verify(path: Path, checkpoint: Path, progress: Progress) -> dict[str, Any]:
    model = load_model(path)
    total, done = len(all_runners()) * len(default_batches(model)), 0

    def advance(_: object) -> None:
        nonlocal done
        done += 1
        progress("verifying", done, total)

    progress("verifying", 0, total)
    report = verify_model(model, checkpoint=checkpoint, progress=advance)
    report.check(path)
    return {"bit_exact": True, "comparisons": len(report.comparisons)}


def _sqnr(model: QuantModel, float_model: nn.Module, images: Tensor) -> dict[str, float | None]:
    """dB behind each segment; None where there is no noise."""
    config = model.config
    reference = convert_to_qat(float_model, config.spec, task=config.backbone.task)
    found = segment_sqnr(model, reference, images)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _compare(paths: dict[str, Path], progress: Progress) -> dict[str, Any]:
    """Latency, memory and size of the files, side by side on one thread."""
    sessions = [TimedSession(path) for path in paths.values()]
    progress("timing", 0, 1)
    times = take_turns(sessions, warmup=3, runs=_RUNS, limit=_SECONDS)
    progress("timing", 1, 1)
    return {
        "latency_ms": {
            name: dataclasses.asdict(summarize(measured))
            for name, measured in zip(paths, times, strict=True)
        },
        "memory_bytes": {name: peak_memory(path) for name, path in paths.items()},
        "bytes": {name: path.stat().st_size for name, path in paths.items()},
    }
