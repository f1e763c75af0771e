"""Which steps the codes of a value have, wherever its elements were moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pqv_onnx.qat.quantizers import Quantizer, ResidualQuantizer
from pqv_onnx.trace.maps import moved
from pqv_onnx.trace.nodes import Move


@dataclass(frozen=True, eq=False)
class Grid:
    """The multiples of a step that a value consists of.

    Attributes:
        quantizer: has the step.
        ratios: has an exponent for each channel, if steps differ.
        channels: which of those channels an element has, broadcast against the value of one
            image; None: the last axis holds them in order.
    """

    quantizer: Quantizer
    ratios: ResidualQuantizer | None = None
    channels: Tensor | None = None

    @classmethod
    def of(cls, quantizer: Quantizer) -> Grid:
        """The grid of what a quantizer gives."""
        several = isinstance(quantizer, ResidualQuantizer) and quantizer.max_exponent > 0
        return cls(quantizer, quantizer if several else None)  # type: ignore[arg-type]

    def equals(self, other: Grid | None) -> bool:
        """Whether both are of the same steps, in the same channels."""
        if (
            other is None
            or self.quantizer is not other.quantizer
            or self.ratios is not other.ratios
        ):
            return False
        mine, its = self.channels, other.channels
        return mine is its or (mine is not None and its is not None and torch.equal(mine, its))

    @property
    def step(self) -> Tensor:
        """The step of channels with exponent 0, float64 []."""
        return self.quantizer.step

    @property
    def exponent(self) -> Tensor | None:
        """The exponents, int8, broadcast against the value; None if all are 0."""
        if self.ratios is None:
            return None
        exponent = self.ratios.exponent
        return exponent if self.channels is None else exponent[self.channels]

    @property
    def channel_step(self) -> Tensor:
        """The steps, float64, broadcast against the value."""
        exponent = self.exponent
        return self.step if exponent is None else self.step * torch.exp2(exponent.double())

    @property
    def zero_point(self) -> NDArray[np.int64]:
        """The stored code that stands for zero, int64 [] or [channels]."""
        return torch.as_tensor(self.quantizer.zero_point).cpu().numpy()

    def moved(self, node: Move) -> Grid:
        """The grid behind a move."""
        if self.ratios is None:
            return self
        in_order = torch.arange(self.ratios.exponent.shape[0], device="cpu")
        channels = moved(node, in_order if self.channels is None else self.channels)
        return replace(self, channels=None if torch.equal(channels, in_order) else channels)
