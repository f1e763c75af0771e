"""Block reconstruction: nearer to the float model, on the codes that run, the same each time."""

from __future__ import annotations

import pytest
import torch

from pqv_onnx.integer import convert_to_integer
from pqv_onnx.qat import (
    Calibration,
    QuantModel,
    Reconstruction,
    Watcher,
    calibrate,
    convert_to_qat,
    real_weights,
    round_weights,
)
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images

OPTIONS = Calibration(reconstruction=Reconstruction(steps=30, batch_size=8))


def calibrated(variant: str, options: Calibration, precision: str = "w4a4") -> QuantModel:
    model = convert_to_qat(float_model(variant), QuantSpec.preset(precision))
    calibrate(model, images(32), options)
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
    model = convert_to_qat(float_model(), QuantSpec.preset("w4a4"))
    calibrate(model, images(32), OPTIONS, Watcher(lambda share, _name: shares.append(share)))
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


def trained(model: QuantModel) -> QuantModel:
    """A model whose weights have moved off their codes."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for linear in model.block_layers().values():
            noise = torch.randn(linear.weight.shape, generator=generator)
            linear.weight += 0.2 * linear.weight.std() * noise
    return model


@pytest.mark.parametrize("variant", ["token", "swin", "distilled"])
def test_weights_are_rounded_after_training(variant: str) -> None:
    model, data = trained(calibrated(variant, Calibration(), "w4a8")), images(64, seed=1)
    with torch.no_grad(), real_weights():
        wanted = model(data)
    with torch.no_grad():
        before = (model(data) - wanted).square().mean()
    round_weights(model, images(64), Reconstruction(steps=30, batch_size=8))
    with torch.no_grad():
        assert (model(data) - wanted).square().mean() < 0.7 * before
        assert torch.equal(model(data), convert_to_integer(model)(data))


@torch.no_grad()
def test_real_weights_leave_activations_their_codes() -> None:
    model, data = calibrated("token", Calibration()), images(8)
    for linear in model.modules():
        if isinstance(linear, QuantLinear):
            linear.settle()
            if linear.bias is not None:
                linear.bias.zero_()  # it is rounded with the weights
    for segment in model.segments()[:-1]:
        rounded = segment(data)
        with real_weights():
            assert torch.equal(segment(data), rounded)
        data = rounded


def test_a_head_of_zeros_does_not_stop_reconstruction() -> None:
    """As timm's new heads of some models are."""
    made = float_model()
    torch.nn.init.zeros_(made.head.weight)
    model, other = (convert_to_qat(made, QuantSpec.preset("w4a4")) for _ in range(2))
    calibrate(model, images(32), OPTIONS)
    calibrate(other, images(32), Calibration())
    layers, others = model.block_layers(), other.block_layers()
    for name, layer in layers.items():
        assert not torch.equal(layer.quantizer.step, others[name].quantizer.step), name


def test_mixed_precision_leaves_codes_of_real_weights() -> None:
    model, data = calibrated("token", Calibration()), images(8)
    with torch.no_grad(), real_weights():
        wanted = model(data)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model(data), wanted)
