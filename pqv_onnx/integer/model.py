"""The integer model: a list of calls of small modules between two border ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from pqv_onnx.integer.codes import Codes
from pqv_onnx.integer.layers import Dequantize, Quantize
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.trace.values import one_or_all


class Call(NamedTuple):
    """A call of a module.

    Attributes:
        module: its name.
        inputs: which values it gets: 0 is the image, i what the i-th call gives.
    """

    module: str
    inputs: tuple[int, ...]


class Result(NamedTuple):
    """What the model gives.

    Attributes:
        value: its integers, numbered as the inputs of a call.
        dequantize: the border behind them.
    """

    value: int
    dequantize: Dequantize


class IntegerModel(nn.Module):
    """A transformer of integer ops between two border ops; modules are named as in timm.

    Attributes:
        config: graph, quantization scheme and preprocessing.
        calls: the integer part, in order.
        outputs: the values that are the results.
        quantize: the first border, float images to int8; its ``scale`` is the images' step.
        dequantize: the last border, accumulators to float logits, or codes to an embedding; a
            list of one for each result, if there are several.
        checkpoint_sha256: of the file the fake-quantized model was loaded from, if it was.
        streams: names for values of residual streams, by the module that gives them.
        codes: what results and packed weights stand for, as far as it is known, by their names.
    """

    checkpoint_sha256: str | None = None

    def __init__(
        self,
        config: ModelConfig,
        quantize: Quantize,
        body: nn.Module,
        calls: Sequence[Call],
        results: Sequence[Result],
    ) -> None:
        """Take the borders, and the children of ``body`` under their names."""
        super().__init__()
        self.config = config
        self.quantize = quantize
        for name, module in body.named_children():
            self.add_module(name, module)
        self.calls = tuple(calls)
        self.streams: dict[str, str] = {}
        self.codes: dict[str, Codes] = {}
        self.outputs = tuple(result.value for result in results)
        borders = [result.dequantize for result in results]
        self.dequantize = borders[0] if len(borders) == 1 else nn.ModuleList(borders)
        last = {value: index for index, call in enumerate(calls) for value in call.inputs}
        self._dead = [
            [value for value in set(call.inputs) - set(self.outputs) if last[value] == index]
            for index, call in enumerate(calls)
        ]

    def forward_int8(self, images: Tensor) -> Any:
        """The integer part: int8 images [B, in_chans, H, W] to int32 logits, or int8 codes.

        Returns:
            A tensor, or a tuple of several.
        """
        values = {0: images}
        for index, call in enumerate(self.calls):
            inputs = [values[value] for value in call.inputs]
            for value in self._dead[index]:
                del values[value]
            values[index + 1] = self.get_submodule(call.module)(*inputs)
        return one_or_all([values[output] for output in self.outputs])

    def forward(self, images: Tensor) -> Any:
        """Logits, float32 [B, classes], of normalised float images [B, in_chans, H, W]."""
        found = self.forward_int8(self.quantize(images))
        if not isinstance(self.dequantize, nn.ModuleList):
            return self.dequantize(found)
        pairs = zip(self.dequantize, found, strict=True)
        return tuple(dequantize(one) for dequantize, one in pairs)
