"""What layers of the float model give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pqv_onnx.qat.exact import Sums, full_precision
from pqv_onnx.qat.model import Segment

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def watch(
    segment: Segment,
    modules: Iterable[M],
    inputs: Iterable[Tensor],
    see: Callable[[M, Tensor], None],
) -> None:
    """Run a segment in full precision, if there is anything to see.

    Args:
        segment: of a fake-quantized model.
        modules: layers and norms in it.
        inputs: what the float model has in front of the segment, in batches.
        see: called with each module and its output, [B, ..., channels].
    """

    def hook(module: Any, _inputs: Any, out: Tensor | Sums) -> None:
        see(module, out.real if isinstance(out, Sums) else out)

    modules = list(modules)
    if not modules:
        return
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        with full_precision():
            for batch in inputs:
                segment(batch)
    finally:
        for handle in handles:
            handle.remove()
