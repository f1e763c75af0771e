"""Rotations that leave a float model's output alone and take outlier channels away.

A channel that is many times wider than the others costs every one of them codes. Multiplied by an
orthogonal matrix, its values spread over all channels (QuaRot, Ashkboos et al., 2024; SpinQuant,
Liu et al., 2024). All of it is folded into weights, so nothing is added at run time:

- the residual stream, by a matrix that keeps the mean over channels: such a one commutes with
  a LayerNorm or RMSNorm whose weight and bias were folded into the layers behind it;
- per head, queries with keys and values with the projection (`balancing` does better, with images).

What `routes` cannot follow through the graph is left as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import Constant, QuantLinear, QuantNorm
from pqv_onnx.qat.routes import Heads, Places, Stream


class Rotation(nn.Module):
    """The rotation of what a tensor gives to a residual stream, or takes from it.

    Of a module's tensor it can be the parametrization (``torch.nn.utils.parametrize``).
    """

    def __init__(self, rows: int = 0, columns: int = 0) -> None:
        """Rotate axis -2 of ``rows``, if not 0, and pieces of ``columns`` of the last axis."""
        super().__init__()
        self.rows, self.columns = rows, columns

    def add(self, other: Rotation) -> None:
        """Rotate what ``other`` does, too."""
        self.rows, self.columns = self.rows or other.rows, self.columns or other.columns

    def forward(self, x: Tensor) -> Tensor:
        """The tensor, rotated."""
        return self._turned(x, back=False)

    def right_inverse(self, x: Tensor) -> Tensor:
        """The tensor as it was before."""
        return self._turned(x.double(), back=True).to(x.dtype)

    def _turned(self, x: Tensor, back: bool) -> Tensor:
        # Mixed precision would round the weights.
        with torch.autocast(x.device.type, enabled=False):
            if self.rows:
                matrix = _matrix(self.rows, x.dtype, x.device)
                x = (matrix if back else matrix.mT) @ x
            if self.columns:
                matrix = _matrix(self.columns, x.dtype, x.device)
                pieces = x.unflatten(-1, (-1, self.columns))
                x = (pieces @ (matrix.mT if back else matrix)).flatten(-2)
        return x


@functools.cache
def _matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # whoever asks first, others may need gradients
        return mean_keeping(size).to(device, dtype)


def rotations(stream: Stream) -> Iterator[tuple[nn.Module, str, Rotation]]:
    """Each tensor that a rotation of a stream changes: its module, its name, and how."""
    size = stream.channels
    for constant in stream.constants:
        yield constant, "value", Rotation(columns=size)
    for linear, _ in stream.writers:
        yield linear, "weight", Rotation(rows=size)
        if linear.bias is not None:
            yield linear, "bias", Rotation(columns=size)
    for norm, linears in stream.readers:
        if norm is not None and norm.bias is not None:
            yield norm, "bias", Rotation(columns=size)
        for linear in linears:
            yield linear, "weight", Rotation(columns=size)


@torch.no_grad()
def rotate(stream: Stream) -> None:
    """Rotate a residual stream."""
    for linear, scales in stream.writers:
        _fold_scales(linear, scales)
    for norm, linears in stream.readers:
        if norm is not None:
            fold_norm(norm, linears)
    for module, name, rotation in rotations(stream):
        tensor = getattr(module, name)
        tensor.copy_(rotation(tensor.double()))


@torch.no_grad()
def rotate_heads(heads: Heads) -> None:
    """Rotate an attention's queries with its keys, and its values with the projection."""
    matrix = dct(heads.width)
    for rows in (heads.query, heads.key, heads.value) if heads.plain else (heads.value,):
        multiply_outputs(rows, matrix)
    multiply_inputs(heads.output, matrix.T)


def multiply_outputs(rows: Places, matrices: Tensor) -> None:
    """Multiply what a layer gives for each head by a matrix, float64 [width, width] or one each."""
    linear, places = rows
    linear.weight[places] = (matrices @ linear.weight[places].double()).float()
    if linear.bias is not None:
        linear.bias[places] = (matrices @ linear.bias[places].double()[..., None])[..., 0].float()


def multiply_inputs(columns: Places, matrices: Tensor) -> None:
    """Multiply the weights for each head's inputs by a matrix from the right."""
    linear, places = columns
    heads = linear.weight[:, places].double().transpose(0, 1)  # [heads, out, width]
    linear.weight[:, places] = (heads @ matrices).transpose(0, 1).float()


@torch.no_grad()
def fold_norm(norm: QuantNorm, linears: list[QuantLinear]) -> None:
    """Move a norm's weight into the layers behind it, and its bias if all of them have one."""
    weight = norm.weight.double()
    if norm.bias is not None:
        _fold_bias(norm.bias, weight, linears)
    for linear in linears:
        linear.weight.mul_(weight.repeat(_repeats(norm, linear)))
    norm.weight.fill_(1)


def _fold_bias(bias: Tensor, weight: Tensor, linears: list[QuantLinear]) -> None:
    own = [linear.bias for linear in linears if linear.bias is not None]
    if len(own) < len(linears):
        bias.copy_(torch.where(weight == 0, 0, bias.double() / weight))
        return
    for linear, its in zip(linears, own, strict=True):
        repeats = linear.weight.shape[1] // bias.shape[0]
        its.add_(linear.weight.double() @ bias.double().repeat(repeats))
    bias.zero_()


def _repeats(norm: QuantNorm, linear: QuantLinear) -> int:
    """How many tokens a layer reads side by side."""
    return linear.weight.shape[1] // norm.weight.shape[0]


def _fold_scales(linear: QuantLinear, scales: list[Constant]) -> None:
    for scale in scales:
        factor = scale.value.flatten()
        linear.weight.mul_(factor[:, None] if factor.numel() > 1 else factor)
        if linear.bias is not None:
            linear.bias.mul_(factor)
        scale.value.fill_(1)


def dct(size: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II), float64: no entry is far above 1 / sqrt(size)."""
    place = torch.arange(size, dtype=torch.float64)
    angles = torch.pi / max(size, 1) * (place + 0.5) * place[:, None]
    matrix = angles.cos() * (2 / max(size, 1)) ** 0.5
    matrix[:1] /= 2**0.5
    return matrix


def mean_keeping(size: int) -> Tensor:
    """An orthogonal matrix A, float64, with x A = x in the mean over channels: A 1 = 1.

    A reflection takes the vector of ones to the first axis, a cosine transform mixes the
    others, and the reflection takes it back. Irregular signs keep cosines from adding up to one
    large entry on their way.
    """
    normal = torch.full((size,), -(size**-0.5), dtype=torch.float64)
    normal[0] += 1
    reflection = torch.eye(size, dtype=torch.float64)
    if size > 1:
        normal /= normal.norm()
        reflection -= 2 * normal[:, None] * normal
    signs = torch.where(torch.arange(size - 1).double().square().add(1).sin() < 0, -1.0, 1.0)
    mixing = torch.eye(size, dtype=torch.float64)
    mixing[1:, 1:] = signs[:, None] * dct(size - 1) * signs
    return reflection @ mixing @ reflection
