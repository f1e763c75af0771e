"""How much 4-bit weights hurt in each layer, and which layers to give them within a size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.packing import packed_shape
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.noise import decibels


@dataclass(frozen=True)
class Distance:
    """How far the logits of a quantized model are from those of the float model.

    Attributes:
        kl: mean Kullback-Leibler divergence from the float model's classes, in nats.
        sqnr: signal to quantization noise ratio of the logits, in dB.
    """

    kl: float
    sqnr: float


@dataclass(frozen=True)
class LayerSensitivity:
    """A layer, and the model's distance from the float model when it alone has 4-bit weights.

    Attributes:
        name: timm's name.
        distance: of the whole model.
        error: how much larger ``distance.kl`` is than with 8-bit weights everywhere; 0 or more.
        bytes8: of the packed weights at 8 bits.
        bytes4: of the packed weights at 4 bits.
    """

    name: str
    distance: Distance
    error: float
    bytes8: int
    bytes4: int


@dataclass(frozen=True)
class Sensitivity:
    """What ``measure_sensitivity`` finds.

    Attributes:
        base: the distance of the model with 8-bit weights everywhere.
        layers: the layers in the model's order.
        other_bytes: packed weights that always have 8 bits: patch embedding and head.
    """

    base: Distance
    layers: tuple[LayerSensitivity, ...]
    other_bytes: int

    def size(self, bits: Mapping[str, int]) -> int:
        """Bytes of all packed weights, with ``bits`` by layer and 8 where it says nothing."""
        return self.other_bytes + sum(
            layer.bytes4 if bits.get(layer.name, 8) == 4 else layer.bytes8 for layer in self.layers
        )

    @property
    def largest(self) -> int:
        """Bytes of all packed weights at 8 bits."""
        return self.size({})

    @property
    def smallest(self) -> int:
        """Bytes of all packed weights with 4 bits wherever there is a choice."""
        return self.size({layer.name: 4 for layer in self.layers})


def measure_sensitivity(
    float_model: nn.Module,
    model: QuantModel,
    inputs: Sequence[Tensor],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Give one layer after the other 4-bit weights, and compare the logits with float.

    Args:
        float_model: what ``model`` was made from, in evaluation mode.
        model: a calibrated model with 8-bit weights; it is left as it is.
        inputs: batches of normalised images [B, C, H, W].
        progress: called with the layers done and all layers.

    Raises:
        PqvError: a layer of ``model`` does not have 8-bit weights.
    """
    layers = model.block_layers()
    for name, layer in layers.items():
        if layer.quantizer.bits != 8:
            raise PqvError(f"{name} has {layer.quantizer.bits}-bit weights, expected 8")
    with torch.inference_mode():
        reference = torch.cat([float_model(batch) for batch in inputs])
        base = distance(reference, torch.cat([model(batch) for batch in inputs]))
        found: list[LayerSensitivity] = []
        for name, layer in layers.items():
            progress(len(found), len(layers))
            moved = distance(reference, _with_4_bits(model, layer, inputs))
            error = max(moved.kl - base.kl, 0.0)
            found.append(LayerSensitivity(name, moved, error, _bytes(layer, 8), _bytes(layer, 4)))
        progress(len(found), len(layers))
    inside = set(layers.values())
    linears = (module for module in model.modules() if isinstance(module, QuantLinear))
    others = sum(_bytes(linear, 8) for linear in linears if linear not in inside)
    return Sensitivity(base, tuple(found), others)


def distance(reference: Tensor, logits: Tensor) -> Distance:
    """Compare logits [N, classes] with those of the float model."""
    wanted, found = F.log_softmax(reference.double(), 1), F.log_softmax(logits.double(), 1)
    kl = F.kl_div(found, wanted, reduction="batchmean", log_target=True)
    noise = (reference - logits).double().square().sum().item()
    signal = reference.double().square().sum().item()
    return Distance(max(kl.item(), 0.0), decibels(signal, noise))


def assign_bits(sensitivity: Sensitivity, budget: int) -> dict[str, int]:
    """Choose 4 or 8 bits for each layer: the smallest sum of errors within a size.

    The layers' errors are taken to add up. This is the knapsack problem, solved exactly by
    keeping every combination that no other one beats in both saving and error; the layers of a
    Transformer have few sizes, so these are few.

    Args:
        sensitivity: of the layers.
        budget: bytes that all packed weights may take.

    Returns:
        Bits by layer, for every layer.

    Raises:
        PqvError: not even 4 bits everywhere fit.
    """
    if budget < sensitivity.smallest:
        raise PqvError(
            f"the size budget is {budget / 1e6:.3g} MB, 4-bit weights everywhere take "
            f"{sensitivity.smallest / 1e6:.3g} MB"
        )
    needed = max(sensitivity.largest - budget, 0)
    choices = [_Choice(0, 0.0, ())]
    for layer in sensitivity.layers:
        saving = layer.bytes8 - layer.bytes4
        with_layer = [
            # More than what is needed is worth no more.
            _Choice(min(c.saved + saving, needed), c.error + layer.error, (*c.layers, layer.name))
            for c in choices
        ]
        choices = _undominated([*choices, *with_layer])
    chosen = next(choice for choice in choices if choice.saved == needed)
    return {layer.name: 4 if layer.name in chosen.layers else 8 for layer in sensitivity.layers}


class _Choice(NamedTuple):
    """Layers with 4-bit weights: the bytes that they save and the sum of their errors."""

    saved: int
    error: float
    layers: tuple[str, ...]


def _undominated(choices: list[_Choice]) -> list[_Choice]:
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda choice: (-choice.saved, choice.error)):
        if not kept or choice.error < kept[-1].error:
            kept.append(choice)
    return kept


def _with_4_bits(model: QuantModel, layer: QuantLinear, inputs: Sequence[Tensor]) -> Tensor:
    """Logits of ``model`` when ``layer`` has 4-bit weights."""
    kept = layer.quantizer
    layer.set_bits(4)
    layer.quantizer.to(layer.weight.device)
    layer.calibrate()
    try:
        return torch.cat([model(batch) for batch in inputs])
    finally:
        layer.quantizer = kept


def _bytes(linear: QuantLinear, bits: int) -> int:
    outputs, features = linear.weight.shape
    return math.prod(packed_shape(features, outputs, bits))
