"""Rotations that leave a float model's output alone and take outlier channels away.

A channel that is many times wider than the others costs every one of them codes. Multiplied by an
orthogonal matrix, its values spread over all channels (QuaRot, Ashkboos et al., 2024; SpinQuant,
Liu et al., 2024). All of it is folded into weights, so nothing is added at run time:

- the residual stream, by a matrix that keeps the mean over channels: such a one commutes with
  a LayerNorm whose weight and bias were folded into the layers behind it;
- per head, queries with keys and values with the projection.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pqv_onnx.qat.layers import LayerScale, QuantLayerNorm, QuantLinear


@dataclass
class Stream:
    """What writes to a residual stream and what reads from it.

    Attributes:
        channels: its width.
        constants: parameters [..., channels] that are added to it.
        writers: layers whose outputs are added to it, with the ``LayerScale`` behind, if any.
        readers: LayerNorms and the layers behind them; widths may be multiples of ``channels``,
            where several tokens are read side by side.
    """

    channels: int
    constants: list[nn.Parameter] = field(default_factory=list)
    writers: list[tuple[QuantLinear, nn.Module]] = field(default_factory=list)
    readers: list[tuple[QuantLayerNorm, QuantLinear]] = field(default_factory=list)


@torch.no_grad()
def rotate(stream: Stream) -> None:
    """Rotate a residual stream."""
    matrix = mean_keeping(stream.channels)
    for constant in stream.constants:
        constant.copy_(constant.double() @ matrix)
    for linear, scale in stream.writers:
        _fold_scale(linear, scale)
        linear.weight.copy_(matrix.T @ linear.weight.double())
        if linear.bias is not None:
            linear.bias.copy_(linear.bias.double() @ matrix)
    for norm, linear in stream.readers:
        fold_norm(norm, linear)
        linear.weight.copy_(_side_by_side(linear.weight.double(), matrix))
        norm.bias.copy_(_side_by_side(norm.bias.double(), matrix))


@torch.no_grad()
def rotate_heads(qkv: QuantLinear, proj: QuantLinear, heads: int) -> None:
    """Rotate an attention's queries with its keys, and its values with the projection.

    Args:
        qkv: makes queries, keys and values [3, heads, width] of a token.
        proj: reads the heads side by side.
        heads: how many there are, each with a rotation of its own.
    """
    matrix = dct(proj.weight.shape[1] // heads)
    rows = qkv.weight.double().reshape(3 * heads, -1, qkv.weight.shape[1])
    qkv.weight.copy_((matrix @ rows).reshape(qkv.weight.shape))
    if qkv.bias is not None:
        bias = qkv.bias.double().reshape(3 * heads, -1)
        qkv.bias.copy_((bias @ matrix.T).flatten())
    proj.weight.copy_(_side_by_side(proj.weight.double(), matrix.T))


@torch.no_grad()
def fold_norm(norm: QuantLayerNorm, linear: QuantLinear) -> None:
    """Move a LayerNorm's weight into the layer behind it, and its bias where that has one."""
    repeats = linear.weight.shape[1] // norm.weight.shape[0]
    weight, bias = norm.weight.double(), norm.bias.double()
    if linear.bias is not None:
        linear.bias.add_(linear.weight.double() @ bias.repeat(repeats))
        norm.bias.zero_()
    else:
        norm.bias.copy_(torch.where(weight == 0, 0, bias / weight))
    linear.weight.mul_(weight.repeat(repeats))
    norm.weight.fill_(1)


def _fold_scale(linear: QuantLinear, scale: nn.Module) -> None:
    if isinstance(scale, LayerScale):
        linear.weight.mul_(scale.gamma[:, None])
        if linear.bias is not None:
            linear.bias.mul_(scale.gamma)
        scale.gamma.fill_(1)


def _side_by_side(x: Tensor, matrix: Tensor) -> Tensor:
    """``matrix`` applied to each piece of the last axis."""
    pieces = x.unflatten(-1, (-1, matrix.shape[0]))
    return (pieces @ matrix).flatten(-2)


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
