"""What is compared: our models and everything else a user could run instead.

Needs none of the runtimes it names, so that it can say which of them are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.end_to_end.pythons import find_python, missing


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
        environment: where its tools live if not among ours: a virtual environment in build/bench.
    """

    title: str
    runtime: str
    recipe: str
    suffix: str
    needs: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    native_only: bool = False
    environment: str = ""

    @property
    def python(self) -> Path:
        """The interpreter that makes its file and runs it; ours without the environment."""
        return find_python(self.environment)

    def missing(self) -> list[str]:
        """Needed modules that are not installed."""
        return missing(self.python, self.needs)


OURS = {
    "pqv-w8a8": Contestant("pqv w8a8", "pqv", "w8a8", ".onnx", ("torch", "timm")),
    "pqv-w7a7": Contestant("pqv w7a7", "pqv", "w7a7", ".onnx", ("torch", "timm")),
    "pqv-w4a4": Contestant("pqv w4a4", "pqv", "w4a4", ".onnx", ("torch", "timm")),
}

OPENVINO_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
_NNCF = ("openvino", "nncf")
# What makes and runs the files of the runtimes that phones use.
MOBILE = "mobile"
MOBILE_PACKAGES = ("executorch", "torchao", "litert-torch", "ai-edge-litert", "ncnn", "pnnx")
_MOBILE_NEEDS = {
    "executorch": ("torch", "timm", "executorch", "torchao"),
    "litert": ("torch", "timm", "litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
    "ncnn": ("torch", "timm", "pnnx", "ncnn"),
}


def _mobile(title: str, recipe: str, suffix: str) -> Contestant:
    runtime = recipe.partition("-")[0]
    return Contestant(title, runtime, recipe, suffix, _MOBILE_NEEDS[runtime], environment=MOBILE)


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
    "executorch-fp32": _mobile("ExecuTorch fp32", "executorch", ".pte"),
    "executorch-int8": _mobile("ExecuTorch static int8", "executorch-int8", ".pte"),
    "litert-fp32": _mobile("LiteRT fp32", "litert", ".tflite"),
    "litert-int8": _mobile("LiteRT static int8", "litert-int8", ".tflite"),
    "litert-dynamic": _mobile("LiteRT dynamic int8", "litert-dynamic", ".tflite"),
    "ncnn-fp32": _mobile("ncnn fp32", "ncnn", ".param"),
    "ncnn-int8": _mobile("ncnn dynamic int8", "ncnn-int8", ".param"),
}

CONTESTANTS = OURS | PEERS
