"""What integers stand for: notes for people, nothing is computed from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pqv_onnx.qat.exact import array
from pqv_onnx.qat.grid import Grid


@dataclass(frozen=True, eq=False)
class Codes:
    """A value's integers: each stands for (code - zero_point) * step * 2^exponent.

    Attributes:
        bits: of a code.
        step: float64, [] or one for each channel of the last axis, [N].
        zero_point: int64, likewise.
        exponent: int8 [N]; None if all are 0.
    """

    bits: int
    step: NDArray[np.float64]
    zero_point: NDArray[np.int64]
    exponent: NDArray[np.int8] | None = None

    @classmethod
    def of(cls, grid: Grid) -> Codes | None:
        """The codes of a grid; None if its channels do not lie along the last axis."""
        exponent = grid.exponent
        if grid.channels is not None or (exponent is not None and exponent.ndim != 1):
            return None
        exponents = None if exponent is None or not exponent.any() else exponent.cpu().numpy()
        return cls(grid.quantizer.bits, array(grid.step), grid.zero_point, exponents)
