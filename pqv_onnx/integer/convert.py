"""The fake-quantized model to the integer one, for every family."""

from __future__ import annotations

import torch

from pqv_onnx.integer.model import IntegerModel
from pqv_onnx.integer.swin_convert import convert_swin
from pqv_onnx.integer.vit_convert import convert_vit
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.swin import QuantSwinTransformer
from pqv_onnx.qat.vit import QuantVisionTransformer


@torch.no_grad()
def convert_to_integer(model: QuantModel) -> IntegerModel:
    """Build the integer form of a calibrated or trained model.

    Args:
        model: a fake-quantized model; it is left as it is.

    Returns:
        A model whose buffers are integers, with copies of the weights.

    Raises:
        PqvError: the model is not calibrated, or a scale is out of an op's range.
    """
    check_calibrated(model)
    if isinstance(model, QuantSwinTransformer):
        integer: IntegerModel = convert_swin(model)
    else:
        assert isinstance(model, QuantVisionTransformer)
        integer = convert_vit(model)
    integer.checkpoint_sha256 = model.checkpoint_sha256
    return integer.eval()
