"""Fake-quantized models: a graph's nodes, computed on codes with gradients."""

from __future__ import annotations

from pqv_onnx.qat.build import build_random_qat, random_images
from pqv_onnx.qat.calibration import Calibration, Watcher, calibrate, round_weights
from pqv_onnx.qat.config import Backbone, ModelConfig
from pqv_onnx.qat.convert import convert_to_qat
from pqv_onnx.qat.exact import full_precision, real_weights
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.reconstruction import Reconstruction
from pqv_onnx.runtime.preprocess import Preprocessing

__all__ = [
    "Backbone",
    "Calibration",
    "ModelConfig",
    "Preprocessing",
    "QuantModel",
    "Reconstruction",
    "Watcher",
    "build_random_qat",
    "calibrate",
    "convert_to_qat",
    "full_precision",
    "random_images",
    "real_weights",
    "round_weights",
]
