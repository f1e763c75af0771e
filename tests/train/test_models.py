from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import striped

from pqv_onnx.errors import PqvError
from pqv_onnx.qat import convert_to_qat
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.models import FloatSource, check_model


def test_a_checkpoint_of_another_model_is_named() -> None:
    model = convert_to_qat(FloatSource(seed=0).load(striped.NAME), QuantSpec.preset("w8a8"))
    path = Path("c.safetensors")
    check_model(path, model, striped.NAME)
    check_model(path, model, f"{striped.NAME}.tag_of_weights")
    message = f"c.safetensors is a {striped.NAME}, the recipe's model is {striped.DISTILLED}"
    with pytest.raises(PqvError, match=message):
        check_model(path, model, striped.DISTILLED)
    # Of a model that was not created by timm, only the family is known.
    backbone = replace(model.config.backbone, architecture="vision_transformer")
    model.config = replace(model.config, backbone=backbone)
    check_model(path, model, striped.DISTILLED)


def test_images_of_another_size() -> None:
    model = FloatSource(seed=0, size=(48, 32)).load("test_vit")
    assert convert_to_qat(model, QuantSpec.preset("w8a8")).config.backbone.img_size == (48, 32)
