"""``export_float``: a float model as plain ONNX, to compare a quantized one with."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence

import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn


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
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.eval(),
            (torch.zeros(2, *size),),
            input_names=["images"],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is for dynamo=True
    # Stack traces of the tracing would make the file larger than a user's.
    ClearMetadataAndDocStringPass()(program.model)
    program.save(path, external_data=False)
