"""How much a model's outputs depend on each element of what its segments give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

import torch
from torch import Tensor

from pqv_onnx.qat.model import QuantModel, Segment
from pqv_onnx.trace.nodes import Node

_SUMS = 128
"""So many random sums of outputs leave 6% of chance in a derivative's root mean square."""


def output_effects(model: QuantModel, batches: Sequence[Tensor]) -> list[Tensor]:
    """Root mean square derivatives of the outputs, over outputs and images.

    Their squares estimate the diagonal of ``J^T J``, J the outputs' derivatives, by those of random
    sums of the outputs (Bekas, Kokiopoulou and Saad, 2007). A backward pass holds the
    activations of one segment.

    Args:
        model: its derivatives are those of the arithmetic that surrounds the call.
        batches: normalised images [B, C, H, W].

    Returns:
        For each segment a tensor of the shape of its output for one image; their scale is of no
        meaning.
    """
    segments = model.segments()
    probe = _Probe()
    squares: list[Tensor] = []
    for images in _enough(batches):
        inputs = [images]
        for segment in segments[:-1]:
            inputs.append(segment(inputs[-1]).detach())
        grads = _output_grads(segments, inputs, probe)
        found = [grad.square().sum(0) for grad in grads]
        squares = [a + b for a, b in zip(squares, found, strict=True)] if squares else found
    return [square.sqrt() for square in squares]


def _enough(batches: Sequence[Tensor]) -> Iterator[Tensor]:
    seen = 0
    for batch in cycle(batches):
        yield batch
        seen += len(batch)
        if seen >= _SUMS:
            return


class _Probe:
    """Random sums of a model's results; of several results none outweighs the others."""

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(0)
        self._sizes: dict[Node, Tensor] = {}

    def __call__(self, node: Node, result: Tensor) -> Tensor:
        """A sum of normally distributed shares."""
        real = result.detach()
        size = self._sizes.setdefault(node, real.square().mean().sqrt().clamp_min(1e-12))
        shares = torch.randn(result.shape, generator=self._generator).to(result)
        return (shares * result).sum() / size


def _output_grads(
    segments: Sequence[Segment], inputs: Sequence[Tensor], probe: _Probe
) -> list[Tensor]:
    """Derivatives of one random sum of all results by what each segment gives, [B, ...]."""
    grads: list[Tensor] = []
    later: Tensor | None = None
    for segment, given in zip(reversed(segments), reversed(inputs), strict=True):
        with torch.enable_grad():
            x = given.detach().requires_grad_()
            y, results = segment.run(x)
            sums = [probe(node, result) for node, result in results.items()]
            if later is not None:
                sums.append((y * later).sum())
        later, grad = torch.autograd.grad(sums, (x, y), materialize_grads=True)
        grads.insert(0, grad)
    return grads
