"""Balancing: heads in the basis in which rounding them costs least.

Any invertible matrix may stand between an attention's values and its projection, ``M v`` and
``W M^-1``, or between keys and queries, ``M k`` and ``M^-T q``; it is folded into the weights
around it. All channels have one step, so rounding ``M v`` makes noise like ``tr(M C M^T)``, C being
the values' second moments, and the model feels ``tr(M^-T W^T W M^-1)`` of it; the weights' noise
is the other way round. The product is least where both matrices are the same diagonal one (a
balanced realization: Moore, 1981). C has a part for the weights that make the values, as what M
enlarges of them is rounded more coarsely. A cosine transform then spreads over all channels what
is large in few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import Segment
from pqv_onnx.qat.rotation import dct, multiply_inputs, multiply_outputs
from pqv_onnx.qat.routes import Heads, Places
from pqv_onnx.qat.watching import totals

_LEAST = 1e-3
"""What a direction counts at least, next to the mean one: images may not have all of them."""


@torch.no_grad()
def balance(segment: Segment, attentions: Iterable[Heads], inputs: Sequence[Tensor]) -> None:
    """Balance those of ``attentions`` that are in ``segment``.

    Args:
        segment: of a fake-quantized model.
        attentions: of the model.
        inputs: what the float model has in front of the segment, in batches.
    """
    for heads in attentions:
        if heads.apart and segment.has(heads.layers):
            rows = (heads.query, heads.key, heads.value)
            _balance(heads, *_moments(segment, rows, inputs))


def _balance(heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> None:
    """Balance one attention, whose parts have these second moments."""
    if heads.plain:
        own, others = _with_weights(heads.key, key), _with_weights(heads.query, query)
        there, back = _balanced(own, _groups(others, len(key)))
        multiply_outputs(heads.key, there)
        multiply_outputs(heads.query, _repeated(back.mT, len(query)))
    proj, places = heads.output
    weight = proj.weight.double()[:, places].transpose(0, 1)
    own, others = _with_weights(heads.value, value), weight.mT @ weight
    there, back = _balanced(own, _groups(others, len(value)))
    multiply_outputs(heads.value, there)
    multiply_inputs(heads.output, _repeated(back, len(places)))


def _moments(segment: Segment, rows: Sequence[Places], inputs: Iterable[Tensor]) -> list[Tensor]:
    """Mean products of each head's channels, float64 [heads, width, width], of each of ``rows``."""

    def products(module: QuantLinear, out: Tensor) -> list[Tensor | int]:
        flat = out.reshape(-1, out.shape[-1]).double()
        own = [(flat if linear is module else flat[:0])[:, places] for linear, places in rows]
        heads = [part.transpose(0, 1) for part in own]  # [heads, tokens, width]
        return [*(part.mT @ part for part in heads), len(flat)]

    found = totals(segment, dict.fromkeys(linear for linear, _ in rows), inputs, products)
    return [found[linear][index] / found[linear][-1] for index, (linear, _) in enumerate(rows)]


def _with_weights(rows: Places, moments: Tensor) -> Tensor:
    """Moments, and those of the weights, which are rounded, too, with as much of the noise."""
    linear, places = rows
    weight = linear.weight.double()[places]
    own = weight @ weight.mT
    sizes = [x.diagonal(0, 1, 2).sum() for x in (moments, own)]
    return moments + own * (sizes[0] / sizes[1].clamp_min(1e-30))


def _balanced(own: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices M and their inverses, float64 [heads, width, width].

    Args:
        own: second moments C of what M multiplies, [heads, width, width].
        others: B of what the inverse does: ``M C M^T`` and ``M^-T B M^-1`` become equal but for one
            factor for all heads, which leaves the size of what M multiplies.
    """
    left, right = _root(own), _root(others)
    u, values, vh = torch.linalg.svd(left.mT @ right)
    sizes = values.rsqrt()
    factor = (left.square().sum() / values.sum()).sqrt()
    spread = dct(own.shape[-1]).to(own)
    there = spread @ (sizes[..., None] * vh @ right.mT) * factor
    back = (left @ u * sizes[:, None]) @ spread.mT / factor
    return there, back


def _root(moments: Tensor) -> Tensor:
    """L with L L^T = ``moments``, in which no direction is missing."""
    mean = moments.diagonal(0, 1, 2).mean().clamp_min(1e-12)
    eye = torch.eye(moments.shape[-1]).to(moments)
    return torch.linalg.cholesky(moments + _LEAST * mean * eye)


def _groups(each: Tensor, count: int) -> Tensor:
    """Sums over those of ``each`` that share one of ``count`` heads, which are neighbours."""
    return each.unflatten(0, (count, -1)).sum(1)


def _repeated(each: Tensor, count: int) -> Tensor:
    return each.repeat_interleave(count // len(each), 0)
