from __future__ import annotations

import timm
import torch

from pqv_onnx.demo import data
from pqv_onnx.demo.model import MODEL_NAME


def test_timm_knows_the_model() -> None:
    model = timm.create_model(MODEL_NAME)
    assert model(torch.zeros(2, 1, data.IMAGE_SIZE, data.IMAGE_SIZE)).shape == (2, data.CLASSES)
    assert model.pretrained_cfg["mean"] == (data.MEAN,)
    assert model.pretrained_cfg["std"] == (data.STD,)
    assert model.pretrained_cfg["input_size"] == (1, data.IMAGE_SIZE, data.IMAGE_SIZE)
