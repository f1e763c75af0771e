"""What a stopped calibration leaves: used by the same one, by no other, gone at the end."""

from __future__ import annotations

from pathlib import Path

import torch

from pqv_onnx.qat import Calibration, convert_to_qat
from pqv_onnx.spec import QuantSpec
from pqv_onnx.train.partial import PartialCalibration
from tests.qat.models import float_model, images


def test_only_the_same_calibration_goes_on(tmp_path: Path) -> None:
    path, data = tmp_path / "m.safetensors", [images(4)]
    model = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
    partial = PartialCalibration(path, model, data, Calibration())
    assert partial.load() == (0, None)
    model.residual.set_step(torch.tensor(0.5))
    partial.save(model, 2)
    fresh = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
    for options, inputs in ((Calibration("lsq"), data), (Calibration(), [images(4, seed=1)])):
        assert PartialCalibration(path, fresh, inputs, options).load() == (0, None)
    same = PartialCalibration(path, fresh, data, Calibration())
    finished, state = same.load()
    assert finished == 2 and state is not None
    assert torch.equal(state["residual.log_step"], model.residual.log_step)
    same.path.write_bytes(b"damaged")
    assert same.load() == (0, None)
    same.remove()
    assert not list(tmp_path.iterdir())
