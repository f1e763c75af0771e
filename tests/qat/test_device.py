"""Calibration and training on an accelerator, which this machine need not have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pqv_onnx.demo.data import Split
from pqv_onnx.demo.train import Schedule, fit
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, Reconstruction, calibrate, convert_to_qat
from pqv_onnx.qat.device import device_of, on_accelerator
from pqv_onnx.spec import QuantSpec
from tests.accelerator import DEVICE, pretended_accelerator
from tests.qat.models import CLASSES, float_model, images


def test_models_are_there_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with pretended_accelerator(monkeypatch), on_accelerator(model, other):
        assert device_of(model) == device_of(other) == DEVICE
        with pytest.raises(RuntimeError, match="on the CPU"):
            model(torch.ones(1, 3))
        assert model(torch.ones(1, 3).to(DEVICE)).device == DEVICE
    assert device_of(model).type == "cpu" and torch.equal(model.weight, before)


@pytest.mark.parametrize("precision", ["w4a4", "w8a8"])
@pytest.mark.parametrize("variant", ["token", "swin"])
def test_what_is_calibrated_and_trained_there_is_what_runs(
    monkeypatch: pytest.MonkeyPatch, variant: str, precision: str
) -> None:
    model = convert_to_qat(float_model(variant), QuantSpec.preset(precision))
    with pretended_accelerator(monkeypatch):
        quantize_and_train(model)
        with torch.no_grad(), on_accelerator(model):
            logits = model(images(4, seed=1).to(DEVICE)).cpu()
    assert device_of(model).type == "cpu"
    with torch.no_grad():
        assert torch.equal(logits, convert_to_integer(model)(images(4, seed=1)))


def quantize_and_train(model: QuantModel) -> None:
    found, labels = images(16), torch.arange(16) % CLASSES
    reconstruction = Reconstruction(steps=2, batch_size=4)
    calibrate(model, found, Calibration(bias_correction=True, reconstruction=reconstruction))
    fit(
        model,
        Split(found, labels),
        Schedule(epochs=1, learning_rate=1e-3, warmup_epochs=0, batch_size=8, optimizer="lamb"),
        seed=0,
        title="training",
        prepare=lambda batch, _: batch,
    )
