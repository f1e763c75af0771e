"""Quantization-aware training: float modules that imitate the integer arithmetic."""

from __future__ import annotations

from pqv_onnx.qat.build import build_random_qat, random_images
from pqv_onnx.qat.calibration import Calibration, Watcher, calibrate
from pqv_onnx.qat.config import ModelConfig, Preprocessing
from pqv_onnx.qat.convert import convert_to_qat
from pqv_onnx.qat.geometry import Geometry, SwinConfig, VitConfig
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.reconstruction import Reconstruction
from pqv_onnx.qat.swin import QuantSwinTransformer
from pqv_onnx.qat.vit import QuantVisionTransformer

__all__ = [
    "Calibration",
    "Geometry",
    "ModelConfig",
    "Preprocessing",
    "QuantModel",
    "QuantSwinTransformer",
    "QuantVisionTransformer",
    "Reconstruction",
    "SwinConfig",
    "VitConfig",
    "Watcher",
    "build_random_qat",
    "calibrate",
    "convert_to_qat",
    "random_images",
]
