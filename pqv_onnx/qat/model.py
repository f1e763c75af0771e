"""What every fake-quantized backbone has, whatever its family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from torch import Tensor, nn

from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import ResidualQuantizer
from pqv_onnx.qat.rotation import Stream

FloatSource = tuple[tuple[str, ...], Callable[..., Tensor]]
"""Keys of a float state dict, and how their values become one parameter's value."""


@dataclass(frozen=True)
class Segment:
    """A part of a model's forward pass; what it returns is what the next one reads.

    Attributes:
        name: of its main module, as in timm.
        run: the computation.
        modules: what has its parameters.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    modules: tuple[nn.Module, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Compute on images, or on the tokens that the segment before returns."""
        return self.run(x)

    def submodules(self) -> Iterator[nn.Module]:
        """The modules and what is in them."""
        return chain.from_iterable(module.modules() for module in self.modules)


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
    def segments(self) -> list[Segment]:
        """The parts of ``forward`` in their order."""

    def rotatable_streams(self) -> list[Stream]:
        """The residual streams that begin with a linear layer."""
        return []

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
