"""The ops' own integer arithmetic inside of training.

A forward pass of training computes on codes with the functions that define the ops
(``docs/ops.md``), so a fake-quantized model gives the integer model's codes, not nearly the same
ones. The backward pass is that of the real functions, straight through every rounding.

Between layers a tensor holds real values, float32, with a gradient: codes times step. Steps, and
all that becomes a constant of an op, are float64, where a last-bit difference between two
machines cannot reach an integer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pqv_onnx.ops import fixed_point
from pqv_onnx.ops import int_gate as gate_op
from pqv_onnx.ops import int_layer_norm as layer_norm_op
from pqv_onnx.ops import int_rms_norm as rms_norm_op
from pqv_onnx.ops import int_rotary as rotary_op
from pqv_onnx.ops import int_weighted_mean as weighted_mean_op
from pqv_onnx.ops.arithmetic import exact_matmul, requantize, sat16
from pqv_onnx.ops.arithmetic import residual_link as residual_link_op
from pqv_onnx.ops.domain import FRACTION_BITS

_full_precision: ContextVar[bool] = ContextVar("full_precision", default=False)
_real_weights: ContextVar[bool] = ContextVar("real_weights", default=False)


@contextmanager
def _set(flag: ContextVar[bool]) -> Iterator[None]:
    token = flag.set(True)
    try:
        yield
    finally:
        flag.reset(token)


def full_precision() -> AbstractContextManager[None]:
    """Inside of it fake-quantized modules round nothing: the float model."""
    return _set(_full_precision)


def real_weights() -> AbstractContextManager[None]:
    """Inside of it the weights and biases of matmuls are what they are; the rest is rounded."""
    return _set(_real_weights)


def rounds() -> bool:
    """Whether fake-quantized modules quantize."""
    return not _full_precision.get()


def rounds_weights() -> bool:
    """Whether those that quantize do so with weights of matmuls, too."""
    return not _real_weights.get()


class Sums(NamedTuple):
    """The accumulators of a matmul, before an op narrows them.

    Attributes:
        real: their real values, float32 [..., N], with the gradient of the real product.
        codes: int32 [..., N]; of no meaning in full precision, but of the same shape.
        unit: the real value of one, float64 [] or broadcast against ``codes``.
        added: int32 codes of a residual that ``real`` holds, too, and their steps; if there is one.
    """

    real: Tensor
    codes: Tensor
    unit: Tensor
    added: tuple[Tensor, Tensor] | None = None

    @classmethod
    def in_full_precision(cls, real: Tensor) -> Sums:
        """Of real values that no op narrows."""
        return cls(real, real, torch.ones((), dtype=torch.float64, device=real.device))

    @classmethod
    def nearest(cls, real: Tensor, unit: Tensor) -> Sums:
        """Of real values that are no whole units."""
        return cls(real, (real.detach() / unit).round_().to(torch.int32), unit)

    def requantized(self, out_step: Tensor) -> Tensor:
        """In 1/64 of ``out_step``, float64 [] or [N]: int32 with int16 values."""
        shift, multiplier = fixed_point.requantizer(array(self.unit / out_step))
        like = self.codes
        u = requantize(like, integers(shift, like), integers(multiplier, like))
        if self.added is None:
            return u
        return sat16(u.add_(residual_link(*self.added, out_step)))

    def in_steps(self, out_step: Tensor) -> Tensor:
        """In steps of the output, as ``requantized`` has them, float32."""
        return in_steps(self.requantized(out_step))


def in_steps(u: Tensor) -> Tensor:
    """What an op narrows, int32 in 1/64 of a step, in steps: float32."""
    return u.float().mul_(2.0**-FRACTION_BITS)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, _real: Tensor, exact: Tensor) -> Tensor:
        return exact

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def straight_through(real: Tensor, exact: Tensor) -> Tensor:
    """``exact`` in forward; the gradient goes to ``real``, of the same shape."""
    out: Tensor = _StraightThrough.apply(real, exact)
    return out


class _Product(torch.autograd.Function):
    """A value that is known, with the gradient of ``a @ b``."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (a, b), grad = ctx.saved_tensors, grads[0]
        grad_a = grad @ b.mT if ctx.needs_input_grad[0] else None
        grad_b = None
        if ctx.needs_input_grad[1]:
            if b.ndim == 2:
                a, grad = a.reshape(-1, a.shape[-1]), grad.reshape(-1, grad.shape[-1])
            grad_b = a.mT @ grad
        return grad_a, grad_b, None


def product(a: Tensor, b: Tensor, codes: Tensor, unit: Tensor) -> Sums:
    """What ``a @ b``, both real, has in accumulators ``codes`` of ``unit``."""
    real: Tensor = _Product.apply(a, b, codes.float() * unit.float())
    return Sums(real, codes, unit)


def matmul(a: Tensor, b: Tensor, a_step: Tensor, b_step: Tensor, scale: float = 1.0) -> Sums:
    """IntMatMul of ``a`` [..., M, K] and ``b`` [..., N, K], its result scaled."""
    if not rounds():
        return Sums.in_full_precision((a * scale) @ b.mT)
    unit = (a_step * b_step * scale).detach()
    codes = exact_matmul(to_codes(a, a_step), to_codes(b, b_step).mT)
    return product(a * scale, b.mT, codes, unit)


def to_codes(x: Tensor, step: Tensor) -> Tensor:
    """The whole multiples of ``step`` that ``x`` is made of, float32."""
    return (x.detach() / step.detach().to(x.dtype)).round_()


def array(tensor: Tensor) -> NDArray[Any]:
    """A small tensor for ``fixed_point``, float64."""
    found: NDArray[Any] = tensor.detach().cpu().double().numpy()
    return found


def integers(values: NDArray[Any], like: Tensor) -> Tensor:
    """Constants of an op as int32 on the device of ``like``."""
    return torch.as_tensor(values, dtype=torch.int32, device=like.device)


class NormConstants(NamedTuple):
    """What an IntLayerNorm or IntRMSNorm is made of.

    Attributes:
        shift: int8 [C].
        multiplier: int16 [C].
        bias: int16 [C]; None of an IntRMSNorm.
        epsilon: in the input's steps.
    """

    shift: NDArray[np.int8]
    multiplier: NDArray[np.int16]
    bias: NDArray[np.int16] | None
    epsilon: int

    @classmethod
    def of(
        cls, weight: Tensor, bias: Tensor | None, eps: float, in_step: Tensor, out_step: Tensor
    ) -> NormConstants:
        """Of a norm with a weight, and perhaps a bias, [C].

        Args:
            weight: [C].
            bias: [C], or None.
            eps: added to the variance or the mean square.
            in_step: step of the channels with exponent 0, float64 [].
            out_step: float64 [] or [C].
        """
        scale = fixed_point.layer_norm_scale(array(weight.double() / out_step))
        steps = None if bias is None else array(bias.double() / out_step)
        added = None if steps is None else fixed_point.layer_norm_bias(steps)
        epsilon = fixed_point.layer_norm_epsilon(eps, len(weight), in_step.item())
        return cls(*scale, added, epsilon)


@torch.no_grad()
def norm(
    x: Tensor, weight: Tensor, bias: Tensor | None, eps: float, in_step: Tensor, out_step: Tensor
) -> Tensor:
    """IntLayerNorm, or without a bias IntRMSNorm, before its narrowing, in steps of the output.

    ``x`` is real, [..., C], multiples of ``in_step``; the others as of ``NormConstants``.
    """
    shift, multiplier, added, epsilon = NormConstants.of(weight, bias, eps, in_step, out_step)
    codes = to_codes(x, in_step).to(torch.int32)
    channels = integers(shift, x), integers(multiplier, x)
    if added is None:
        return in_steps(rms_norm_op.rms_norm(codes, *channels, epsilon))
    return in_steps(layer_norm_op.layer_norm(codes, *channels, integers(added, x), epsilon))


@torch.no_grad()
def rotary(
    x: Tensor, cos: Tensor, sin: Tensor, pairs: bool, in_step: Tensor, out_step: Tensor
) -> Tensor:
    """IntRotary before its narrowing, in steps of the output.

    Args:
        x: real, [..., H, N, D], multiples of ``in_step``.
        cos: [H, N, D] or [1, N, D], in [-1, 1].
        sin: the same.
        pairs: whether neighbours turn together, or halves.
        in_step: float64 [].
        out_step: float64 [].
    """
    c, s = (integers(fixed_point.rotary_table(array(table)), x) for table in (cos, sin))
    scale = fixed_point.rotary_scale((in_step / out_step).item())
    return in_steps(rotary_op.rotary(to_codes(x, in_step), c, s, int(pairs), *scale))


@torch.no_grad()
def gate(a: Tensor, b: Tensor, a_step: Tensor, b_step: Tensor, out_step: Tensor) -> Tensor:
    """IntGate before its narrowing, in steps of the output.

    Args:
        a: real, multiples of ``a_step``.
        b: real, of the same shape, multiples of ``b_step``.
        a_step: float64 [].
        b_step: float64 [].
        out_step: float64 [].
    """
    scale = fixed_point.gate_scale((a_step * b_step / out_step).item())
    return in_steps(gate_op.gate(to_codes(a, a_step), to_codes(b, b_step), *scale))


@torch.no_grad()
def add(a: Tensor, b: Tensor, a_step: Tensor, b_step: Tensor, out_step: Tensor) -> Tensor:
    """IntAdd before its narrowing, in steps of the output; all steps are float64 [] or [C]."""
    first = residual_link(to_codes(a, a_step), a_step, out_step)
    return in_steps(sat16(first + residual_link(to_codes(b, b_step), b_step, out_step)))


@torch.no_grad()
def weighted_mean(weights: Tensor, values: Tensor, in_step: Tensor, out_step: Tensor) -> Tensor:
    """IntWeightedMean before its narrowing, in steps of the output.

    Args:
        weights: integers in [0, 255], [..., M, N].
        values: real, [..., N, D], multiples of ``in_step``.
        in_step: float64 [].
        out_step: float64 [].
    """
    scale = fixed_point.weighted_mean_scale((in_step / out_step).item())
    return in_steps(weighted_mean_op.weighted_mean(weights, to_codes(values, in_step), *scale))


@torch.no_grad()
def residual_link(codes: Tensor, in_step: Tensor, out_step: Tensor) -> Tensor:
    """What a packed matmul adds of residual ``codes`` [..., C], int32 in 1/64 of a step.

    Both steps are float64 [C].
    """
    multiplier = fixed_point.residual_multiplier(array(in_step / out_step))
    return residual_link_op(codes, integers(multiplier, codes))
