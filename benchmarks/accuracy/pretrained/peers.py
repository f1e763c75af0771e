"""The float model as ONNX, and other tools' quantized forms of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.end_to_end import prepare
from pqv_onnx.errors import PqvError
from pqv_onnx.graph import float_model

_STRIDE = 16
"""Images whose activations onnxruntime's calibration holds at a time."""


class WithFeatures(nn.Module):
    """A timm model that also gives the class token's features."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, classes] and features [B, width] of images [B, 3, H, W]."""
        model: Any = self.model
        features = model.forward_head(model.forward_features(images), pre_logits=True)
        return model.head(features), features


def export_float(model: nn.Module, image_size: int, path: Path) -> None:
    """Write the float model with outputs ``logits`` and ``features``."""
    size = (3, image_size, image_size)
    float_model.export_float(WithFeatures(model), path, size, ("logits", "features"))


def make(fp32: Path, images: np.ndarray, folder: Path, *, maker: str, **options: Any) -> Path:
    """Quantize the float model with another tool.

    Args:
        fp32: of `export_float`.
        images: to calibrate on, normalised, float32 [N, 3, H, W].
        folder: for the files.
        maker: ``nncf``, ``static`` or ``dynamic``.
        options: of the maker.

    Raises:
        PqvError: the tool is not installed.
    """
    try:
        return _MAKERS[maker](fp32, images, folder, **options)
    except ImportError as error:
        raise PqvError(f"{error.name} is not installed: pip install -e '.[bench]'") from error


def _make_nncf(fp32: Path, images: np.ndarray, folder: Path) -> Path:
    import nncf
    import openvino

    quantized = nncf.quantize(
        openvino.Core().read_model(fp32),
        nncf.Dataset([image[np.newaxis] for image in images]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(images),
    )
    path = folder / "model.xml"
    openvino.save_model(quantized, path, compress_to_fp16=False)
    return path


def _make_static(
    fp32: Path, images: np.ndarray, folder: Path, *, method: str, reduce_range: bool = False
) -> Path:
    from onnxruntime import quantization

    path = folder / "model.onnx"
    stride = max(size for size in range(1, _STRIDE + 1) if len(images) % size == 0)
    quantization.quantize_static(
        prepare._inferred(fp32, path),
        path,
        _Images(images),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod[method],
        # Percentiles need all activations of the images at hand: a few images at a time.
        extra_options={"CalibStridedMinMax": stride},
    )
    return path


def _make_dynamic(fp32: Path, images: np.ndarray, folder: Path) -> Path:
    path = folder / "model.onnx"
    prepare.make_dynamic("", fp32, path)
    return path


class _Images:
    """onnxruntime's reader of calibration images, one at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.feeds = iter(self.images[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.feeds, None)
        return None if image is None else {"images": image[np.newaxis]}


_MAKERS = {"nncf": _make_nncf, "static": _make_static, "dynamic": _make_dynamic}
