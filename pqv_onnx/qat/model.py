"""What every fake-quantized backbone has, whatever its family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import ResidualQuantizer

FloatSource = tuple[tuple[str, ...], Callable[..., Tensor]]
"""Keys of a float state dict, and how their values become one parameter's value."""


class QuantModel(nn.Module, ABC):
    """A backbone for quantization-aware training; modules are named as in timm.

    ``forward`` maps normalised images [B, in_chans, H, W] to logits [B, classes].

    Attributes:
        config: geometry, quantization scheme and preprocessing.
        checkpoint_sha256: of the file it was loaded from, if it was.
    """

    checkpoint_sha256: str | None = None

    def __init__(self, config: ModelConfig) -> None:
        """Keep ``config``."""
        super().__init__()
        self.config = config

    @abstractmethod
    def segments(self) -> list[Callable[[Tensor], Tensor]]:
        """The parts of ``forward`` in their order; each reads what the one before returns."""

    def train_heads_apart(self) -> bool:
        """Let ``forward`` give the logits of both heads in training mode, [2, B, classes].

        The class token's come first, the distillation token's second (DeiT, section 4).

        Returns:
            Whether there are two heads; if not, nothing changes.
        """
        return False

    def block_layers(self) -> dict[str, QuantLinear]:
        """The matmuls inside the blocks by their names in timm: those with a choice of bits."""
        return {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, QuantLinear) and name.startswith(("blocks.", "layers."))
        }

    def constant_steps(self) -> dict[ResidualQuantizer, Tensor]:
        """Steps [channels] of constants that are added where a quantizer of a stream follows."""
        return {}

    @abstractmethod
    def residual_streams(self) -> list[list[ResidualQuantizer]]:
        """The quantizers of each residual stream in their order, one addition between two."""

    @abstractmethod
    def float_source(self, name: str, state: Mapping[str, Tensor]) -> FloatSource:
        """Where the float value of the parameter ``name`` is in timm's ``state`` dict."""


def same(value: Tensor) -> Tensor:
    """The value of a parameter that is stored as it is."""
    return value
