"""Block reconstruction: nearer to the float model, on the codes that run, the same each time."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import Calibration, QuantModel, Reconstruction, Watcher, calibrate, convert_to_qat
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images

OPTIONS = Calibration(reconstruction=Reconstruction(steps=30, batch_size=8))


def calibrated(variant: str, options: Calibration, watcher: Watcher = Watcher()) -> QuantModel:  # noqa: B008
    model = convert_to_qat(float_model(variant), QuantSpec.preset("w4a4"))
    calibrate(model, images(32), options, watcher)
    return model.eval()


@pytest.mark.parametrize("variant", ["token", "swin"])
def test_outputs_come_nearer_to_the_float_models(variant: str) -> None:
    data = images(64, seed=1)
    wanted = float_model(variant)(data)
    errors = [
        (calibrated(variant, options)(data) - wanted).square().mean()
        for options in (Calibration(), OPTIONS)
    ]
    assert errors[1] < 0.7 * errors[0]


def test_what_is_reconstructed_is_what_runs() -> None:
    model, data = calibrated("token", OPTIONS), images(16, seed=1)
    with torch.no_grad():
        assert torch.equal(model(data), convert_to_integer(model)(data))


def test_a_stopped_calibration_goes_on_to_the_same_bits() -> None:
    states: list[dict[str, torch.Tensor]] = []

    class Killed(Exception):
        pass

    model = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))

    def stop(finished: int) -> None:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        if finished == 3:
            raise Killed

    with pytest.raises(Killed):
        calibrate(model, images(32), OPTIONS, Watcher(after=stop))
    other = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
    calibrate(other, images(32), OPTIONS, Watcher(finished=3, state=states[-1]))
    whole = calibrated("token", OPTIONS).state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in other.state_dict().items())


def test_progress_is_told() -> None:
    shares: list[float] = []
    calibrated("token", OPTIONS, Watcher(progress=lambda share, _name: shares.append(share)))
    assert shares[0] == 0 and shares[-1] == 1
    assert shares == sorted(shares)


def test_weights_lie_in_the_middle_of_their_codes() -> None:
    model = calibrated("swin", OPTIONS)
    for layer in model.block_layers().values():
        weight = layer.codes_weight.double() / layer.quantizer.step
        inside = weight.abs() <= layer.quantizer.hi
        assert (weight - weight.round())[inside].abs().max() < 1e-3
        settled = layer.quantizer.codes(layer.codes_weight)
        layer.settle()
        assert torch.equal(layer.quantizer.codes(layer.codes_weight), settled)
