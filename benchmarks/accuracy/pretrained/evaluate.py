"""Logits and features of a model's file over all test images, and how near they are to float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks.accuracy.pretrained.data import batches
from pqv_onnx.errors import PqvError
from pqv_onnx.files import write_atomically
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.rotation import mean_keeping
from pqv_onnx.runtime.session import InferenceSession, session_options
from pqv_onnx.train.sensitivity import distance

Runner = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Images to logits and features."""
_BATCH = 50


@dataclass(frozen=True)
class Outputs:
    """Of all test images: logits [N, classes] and the class token's features [N, width]."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True)
class Scores:
    """What counts: top-1 in percent, logits' SQNR in dB, mean cosine of features."""

    top1: float
    sqnr: float
    cosine: float


def run(runner: Runner, pixels: Tensor) -> Outputs:
    """Run a model over uint8 pixels [N, H, W, 3]."""
    found = [runner(images.numpy()) for images in batches(pixels, _BATCH)]
    logits, features = (torch.from_numpy(np.concatenate(part)) for part in zip(*found, strict=True))
    return Outputs(logits, features.float())


def kept_outputs(path: Path, origin: str, make: Callable[[], Outputs]) -> Outputs:
    """Outputs from a file, if it has those of ``origin``; else made, and written there."""
    if path.is_file():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("origin") == origin:
                return Outputs(file.get_tensor("logits"), file.get_tensor("features"))
    found = make()
    write_atomically(path, save(vars(found), {"origin": origin}))
    return found


def score(found: Outputs, reference: Outputs, labels: Tensor) -> Scores:
    """Compare a model's outputs with the labels and with the float model's outputs."""
    right = (found.logits.argmax(1) == labels).double().mean().item()
    cosine = F.cosine_similarity(found.features.double(), reference.features.double(), dim=1)
    sqnr = distance(reference.logits, found.logits).sqnr
    return Scores(100 * right, sqnr, cosine.mean().item())


def peer_runner(path: Path, threads: int) -> Runner:
    """The runner of a peer's file: ``.xml`` is OpenVINO's."""
    if path.suffix == ".xml":
        return _openvino_runner(path, threads)
    session = onnxruntime.InferenceSession(path, session_options(threads), ["CPUExecutionProvider"])
    return lambda images: tuple(session.run(["logits", "features"], {"images": images}))


def our_runner(path: Path, threads: int, model: QuantModel, norm: nn.LayerNorm) -> Runner:
    """The runner of our export, on our op library.

    Features are what the codes that the head reads stand for.

    Args:
        path: the file.
        threads: of onnxruntime.
        model: what the file was exported from.
        norm: the float model's last LayerNorm, whose weight and bias the head may have.

    Raises:
        PqvError: the file has no node named ``head``.
    """
    exported = onnx.load(str(path))
    head = next((node for node in exported.graph.node if node.name == "head"), None)
    if head is None:
        raise PqvError(f"{path}: has no node named head")
    codes = onnx.helper.make_tensor_value_info(head.input[0], onnx.TensorProto.INT8, None)
    exported.graph.output.append(codes)
    session = InferenceSession(exported.SerializeToString(), session_options(threads))
    name = session.get_inputs()[0].name

    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, features = session.run(None, {name: images})
        return logits, _as_floats(features, model, norm)

    return predict


@torch.no_grad()
def _as_floats(codes: np.ndarray, model: QuantModel, norm: nn.LayerNorm) -> np.ndarray:
    """Codes as the float model's features: centers put back on, and rotations undone."""
    own: Any = model.get_submodule("norm")
    normalised = (torch.from_numpy(codes) * own.quantizer.step - own.bias) / own.weight
    if model.config.spec.residual.scheme == "rotated":
        normalised = normalised.double() @ mean_keeping(codes.shape[-1]).T
    return (normalised * norm.weight + norm.bias).float().numpy()


def openvino_model(path: Path, threads: int) -> Any:
    """A file compiled by OpenVINO for the CPU."""
    import openvino

    # Else float parts run in bfloat16 on CPUs that have it.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", settings)


def _openvino_runner(path: Path, threads: int) -> Runner:
    compiled = openvino_model(path, threads)

    def predict(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = compiled([images])
        return found["logits"], found["features"]

    return predict
