"""What is compared: our models and everything else a user could run instead.

Needs none of the runtimes it names, so that it can say which of them are missing.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contestant:
    """A way to get from a timm model to logits.

    Attributes:
        title: its name in tables.
        runtime: which runtime of `benchmarks.end_to_end.worker` runs it.
        recipe: which function of `benchmarks.end_to_end.prepare` makes its file.
        suffix: of that file.
        needs: modules that must be installed.
        settings: what else the runtime is told.
        native_only: whether it is another contestant when the ISA is held down.
    """

    title: str
    runtime: str
    recipe: str
    suffix: str
    needs: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    native_only: bool = False

    def missing(self) -> list[str]:
        """Needed modules that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


OURS = {
    "pqv-w8a8": Contestant("pqv w8a8", "pqv", "w8a8", ".onnx", ("torch", "timm")),
    "pqv-w4a4": Contestant("pqv w4a4", "pqv", "w4a4", ".onnx", ("torch", "timm")),
}

OPENVINO_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
_NNCF = ("openvino", "nncf")

PEERS = {
    "ort-fp32": Contestant("onnxruntime fp32", "onnxruntime", "fp32", ".onnx"),
    "ort-static": Contestant("onnxruntime static QDQ int8", "onnxruntime", "static", ".onnx"),
    "ort-dynamic": Contestant("onnxruntime dynamic int8", "onnxruntime", "dynamic", ".onnx"),
    "ort-nbits": Contestant("onnxruntime MatMulNBits W4", "onnxruntime", "nbits", ".onnx"),
    # On CPUs with AMX, OpenVINO runs float models in bfloat16 unless told otherwise.
    "openvino-fp32": Contestant(
        "OpenVINO fp32",
        "openvino",
        "fp32",
        ".onnx",
        ("openvino",),
        OPENVINO_FLOAT32,
    ),
    "openvino-default": Contestant(
        "OpenVINO fp32, default precision",
        "openvino",
        "fp32",
        ".onnx",
        ("openvino",),
        native_only=True,
    ),
    "openvino-int8": Contestant("OpenVINO int8 (nncf)", "openvino", "nncf", ".xml", _NNCF),
}

CONTESTANTS = OURS | PEERS
