"""What every integer backbone has, whatever its family."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pqv_onnx.integer.layers import Dequantize, Quantize
from pqv_onnx.qat.config import ModelConfig


class IntegerModel(nn.Module, ABC):
    """A backbone of integer ops between two border ops; modules are named as in timm.

    Attributes:
        config: geometry, quantization scheme and preprocessing.
        quantize: the first border, float images to int8; its ``scale`` is the images' step.
        dequantize: the last border, int32 accumulators to float logits.
        checkpoint_sha256: of the file the fake-quantized model was loaded from, if it was.
    """

    checkpoint_sha256: str | None = None

    def __init__(self, config: ModelConfig, quantize: Quantize, dequantize: Dequantize) -> None:
        """Take the config and the borders."""
        super().__init__()
        self.config = config
        self.quantize = quantize
        self.dequantize = dequantize

    @abstractmethod
    def forward_int8(self, images: Tensor) -> Tensor:
        """The integer part: int8 images [B, in_chans, H, W] to int32 logits [B, classes]."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 [B, classes], of normalised float images [B, in_chans, H, W]."""
        out: Tensor = self.dequantize(self.forward_int8(self.quantize(images)))
        return out
