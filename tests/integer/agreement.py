"""Layer by layer: the codes of a fake-quantized model beside those of its integer model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pqv_onnx.integer import IntegerModel
from pqv_onnx.integer.attention import in_parts
from pqv_onnx.qat import QuantModel
from pqv_onnx.qat import handlers as of
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.trace.nodes import Node


@torch.no_grad()
def both_codes(
    model: QuantModel, integer: IntegerModel, images: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """What each quantizer of activations gives in training, and the integer model in its place.

    In windows both have the same order: the integer model rolls and cuts the image in front of
    the attention, where training does it in front of the matmul.
    """
    trained: dict[str, Tensor] = {}

    def keep(name: str, quantizer: Quantizer, out: Tensor) -> None:
        trained[name] = quantizer.codes(out) + quantizer.zero_point

    quantizers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Quantizer) and not isinstance(module, WeightQuantizer)
    }
    handles = [
        module.register_forward_hook(lambda m, _i, out, name=name: keep(name, m, out))
        for name, module in quantizers.items()
    ]
    model(images)
    for handle in handles:
        handle.remove()
    assert set(trained) == set(quantizers)
    run = _Run(model, integer, images)
    return {name: (codes, run.codes(name).reshape(codes.shape)) for name, codes in trained.items()}


class _Run:
    """What the modules of an integer model read and give."""

    def __init__(self, model: QuantModel, integer: nn.Module, images: Tensor) -> None:
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Tensor] = {}
        names = {module: name for name, module in model.named_modules()}
        self._links = {
            names[handler.quantizer]: names[_linear(model, node)]
            for node, handler in model.handlers.items()
            if isinstance(handler, of.Add | of.Linear) and handler.quantizer is not None
        }

        def keep(name: str, inputs: Any, out: Tensor) -> None:
            self._inputs[name], self._outputs[name] = inputs, out

        handles = [
            module.register_forward_hook(lambda _m, i, out, name=name: keep(name, i, out))
            for name, module in integer.named_modules()
        ]
        with in_parts():
            integer(images)
        for handle in handles:
            handle.remove()

    def codes(self, name: str) -> Tensor:
        """The codes where training has the quantizer ``name``."""
        path, _, last = name.rpartition(".")
        if not path and last == "quantizer":
            return self._outputs["quantize"]
        if last in ("q_quantizer", "k_quantizer"):
            return self._input(f"{path}.matmul", "qk".index(last[0]))
        if last == "v_quantizer":
            return self._input(f"{path}.mean", 1)
        if last == "input_quantizer":
            return self._input(path, 0)
        if last == "quantizer":
            mean = f"{path}.mean"
            return self._outputs[mean if mean in self._outputs else path]
        return self._outputs[self._links.get(name, name)]

    def _input(self, name: str, index: int) -> Tensor:
        found: Tensor = self._inputs[name][index]
        return found


def _linear(model: QuantModel, node: Node) -> nn.Module:
    """The layer whose sums a link narrows."""
    handler = model.handlers[node]
    while not isinstance(handler, of.Linear):
        branch = handler.branch if isinstance(handler, of.Add) else 0
        assert branch is not None
        value = handler.node.inputs[branch]
        assert isinstance(value, Node)
        handler = model.handlers[value]
    return handler.linear
