"""What layers of the float model give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pqv_onnx.qat.exact import Sums, full_precision
from pqv_onnx.qat.model import Segment

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def totals(
    segment: Segment,
    modules: Iterable[M],
    inputs: Iterable[Tensor],
    parts: Callable[[M, Tensor], Sequence[Any]],
) -> dict[M, list[Any]]:
    """Run a segment in full precision, if there is anything to see, and add up what it gives.

    Args:
        segment: of a fake-quantized model.
        modules: layers and norms in it.
        inputs: what the float model has in front of the segment, in batches.
        parts: what to add up over batches, of a module and its output, [B, ..., channels].
    """
    found: dict[M, list[Any]] = {}

    def hook(module: Any, _inputs: Any, out: Tensor | Sums) -> None:
        own = parts(module, out.real)
        known = found.get(module, [0] * len(own))
        found[module] = [a + b for a, b in zip(known, own, strict=True)]

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        with full_precision():
            for batch in inputs if handles else ():
                segment(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found
