"""``export_float``: a float model as plain ONNX, to compare a quantized one with."""

from __future__ import annotations

import os
from collections.abc import Sequence

import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

from pqv_onnx.graph.translate import to_onnx


def export_float(
    model: nn.Module,
    path: str | os.PathLike[str],
    size: tuple[int, int, int],
    outputs: Sequence[str] = ("logits",),
) -> None:
    """Write a float model as ONNX, with input ``images`` [batch, C, H, W].

    Args:
        model: of normalised images.
        path: the ``.onnx`` file.
        size: channels, height and width of the images.
        outputs: names of what it gives.
    """
    exported = to_onnx(model, torch.zeros(2, *size), "images", outputs, opset=None)
    # Stack traces of the tracing would make the file larger than a user's.
    ClearMetadataAndDocStringPass()(exported)
    ir.save(exported, path)
