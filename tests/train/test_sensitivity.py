from __future__ import annotations

import copy
import math
import statistics
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pqv_onnx.errors import PqvError
from pqv_onnx.packing import packed_shape
from pqv_onnx.train.sensitivity import (
    Distance,
    LayerSensitivity,
    Sensitivity,
    assign_bits,
    distance,
    measure_sensitivity,
)
from tests.qat.models import float_model, images, qat_model


def sensitivity(layers: list[tuple[float, int]]) -> Sensitivity:
    some = Distance(0.0, 0.0)
    return Sensitivity(
        some,
        tuple(
            LayerSensitivity(f"blocks.{index}", some, error, 2 * size, size)
            for index, (error, size) in enumerate(layers)
        ),
        other_bytes=10,
    )


def error_of(found: Sensitivity, bits: dict[str, int]) -> float:
    return sum(layer.error for layer in found.layers if bits[layer.name] == 4)


@given(
    layers=st.lists(
        st.tuples(st.integers(0, 20).map(float), st.integers(1, 6)), min_size=1, max_size=7
    ),
    share=st.floats(0, 1),
)
def test_no_assignment_within_the_budget_is_better(
    layers: list[tuple[float, int]], share: float
) -> None:
    found = sensitivity(layers)
    budget = int(found.smallest + share * (found.largest - found.smallest))
    chosen = assign_bits(found, budget)
    assert found.size(chosen) <= budget
    every = (dict(zip(chosen, bits, strict=True)) for bits in product((4, 8), repeat=len(layers)))
    best = min(error_of(found, bits) for bits in every if found.size(bits) <= budget)
    assert error_of(found, chosen) == best


def test_a_large_budget_leaves_8_bits_and_a_small_one_is_refused() -> None:
    found = sensitivity([(0.0, 3), (1.0, 5)])
    assert set(assign_bits(found, found.largest).values()) == {8}
    assert set(assign_bits(found, found.smallest).values()) == {4}
    with pytest.raises(PqvError, match="is 1.7e-05 MB, 4-bit weights everywhere take 1.8e-05 MB"):
        assign_bits(found, found.smallest - 1)


def test_a_model_of_many_layers_of_few_sizes() -> None:
    layers = [(math.sin(i) ** 2, size) for i in range(24) for size in (3, 1, 4, 4)]
    found = sensitivity(layers)
    chosen = assign_bits(found, int(0.7 * found.largest))
    assert found.size(chosen) <= 0.7 * found.largest


@torch.inference_mode()
def over(model: torch.nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([model(batch) for batch in inputs])


@pytest.mark.parametrize("variant", ["distilled", "swin"])
def test_each_layer_alone(variant: str) -> None:
    float_one, model = float_model(variant), qat_model(variant, "w8a8")
    inputs = [images(6), images(4, seed=1)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps = []
    found = measure_sensitivity(float_one, model, inputs, progress=lambda *step: steps.append(step))

    layers = model.block_layers()
    assert [layer.name for layer in found.layers] == list(layers)
    assert steps[-1] == (len(layers), len(layers))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    reference = over(float_one, inputs)
    assert found.base == distance(reference, over(model, inputs))
    assert found.base.sqnr > statistics.mean(layer.distance.sqnr for layer in found.layers)

    name, seen = list(layers)[-1], found.layers[-1]
    alone = copy.deepcopy(model)
    changed = alone.block_layers()[name]
    changed.set_bits(4)
    changed.quantizer.calibrate(changed.weight.detach())
    assert distance(reference, over(alone, inputs)) == seen.distance
    outputs, features = layers[name].weight.shape
    assert seen.bytes4 == math.prod(packed_shape(features, outputs, 4)) == seen.bytes8 // 2
    with pytest.raises(PqvError, match=f"{name} has 4-bit weights, expected 8"):
        measure_sensitivity(float_one, alone, inputs)


def test_distance() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert distance(logits, logits) == Distance(0.0, math.inf)
    shifted = distance(logits, logits + 1)
    assert shifted.kl == pytest.approx(0, abs=1e-12)
    assert shifted.sqnr == pytest.approx(10 * math.log10(14 / 6))
    uniform = distance(logits[:1], torch.zeros(1, 3))
    p = torch.softmax(logits[0].double(), 0)
    assert uniform.kl == pytest.approx(float((p * (3 * p).log()).sum()))
