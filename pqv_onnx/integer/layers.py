"""The modules of an integer model: the two borders, and the ops of the domain ``pqv``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import pqv_onnx.integer.border  # noqa: F401
from pqv_onnx.integer.codes import Codes
from pqv_onnx.ops.domain import OPS, Input
from pqv_onnx.ops.registry import TORCH_OPS
from pqv_onnx.packing import pack_weight

Constants = dict[str, NDArray[Any] | Tensor]
"""Constant inputs of an op by name."""


class Quantize(nn.Module):
    """The first border: float images to int8."""

    def __init__(self, scale: float) -> None:
        """Set the step of the output."""
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Quantize float32 ``x`` to int8."""
        out: Tensor = torch.ops.pqv.quantize_linear(x, self.scale)
        return out


class Dequantize(nn.Module):
    """The last border: accumulators to float logits, or codes to a float embedding."""

    scale: Tensor

    def __init__(self, scale: NDArray[np.float32]) -> None:
        """Set the steps of the input's channels, [N]."""
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Dequantize int32 or int8 ``x`` [..., N] to float32."""
        out: Tensor = torch.ops.pqv.dequantize_linear(x, self.scale)
        return out


class OpLayer(nn.Module):
    """An op with its attributes, and with constants as buffers.

    A buffer has the name of its input; of packed weights it is ``weight``.

    Attributes:
        op: what is declared of it.
        attributes: by name, in the declaration's order.
        weight_codes: what packed weights stand for, if there are any.
        codes: what the result stands for, if the maker of the layer knows.
    """

    __call__: Callable[..., Tensor]
    weight_codes: Codes | None = None
    codes: Codes | None = None

    def __init__(self, name: str, constants: Constants, **attributes: int) -> None:
        """Take the op's name and what is fixed of it; weights [K, N] are packed."""
        super().__init__()
        self.op = OPS[name]
        self.attributes = {
            entry.name: entry.values if entry.type is str else attributes[entry.name]
            for entry in self.op.attributes
        }
        self._fixed = [entry.name in constants for entry in self.op.inputs]
        for entry in self.op.inputs:
            if entry.name in constants:
                self.register_buffer(_buffer(entry), _tensor(entry, constants[entry.name]))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The op of its constants and of ``inputs``, which are the others, in their order."""
        given = iter(inputs)
        tensors = [
            self.get_buffer(_buffer(entry)) if fixed else next(given)
            for entry, fixed in zip(self.op.inputs, self._fixed, strict=True)
        ]
        out: Tensor = TORCH_OPS[self.op.name](*tensors, *self.attributes.values())
        return out


def _buffer(entry: Input) -> str:
    return "weight" if entry.weight_bits else entry.name


def _tensor(entry: Input, value: NDArray[Any] | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    packed = pack_weight(value, entry.weight_bits) if entry.weight_bits else value
    return torch.from_numpy(np.ascontiguousarray(packed))


class TokenMean(OpLayer):
    """IntWeightedMean with equal weights."""

    def __init__(self, tokens: int, **attributes: int) -> None:
        """Average so many tokens."""
        weights = torch.ones(1, 1, tokens, dtype=torch.uint8)
        super().__init__("IntWeightedMean", {}, **attributes)
        self.register_buffer("weights", weights)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Average int8 ``x`` [B, T, C], to int8 [B, 1, C]."""
        return super().forward(self.get_buffer("weights").expand(x.shape[0], -1, -1), x)
