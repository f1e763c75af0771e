"""`python -m benchmarks.accuracy.pretrained.noise`: which kind of tensor costs how much."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any, TypeVar

import torch
import typer
from torch import Tensor, nn

from benchmarks.accuracy.pretrained.data import load_images
from benchmarks.accuracy.pretrained.model import HEAD_IMAGES, OUTPUT, load_model
from pqv_onnx.errors import PqvError
from pqv_onnx.qat import Calibration, QuantModel, calibrate, convert_to_qat
from pqv_onnx.qat.exact import full_precision
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.noise import decibels
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.softmax import QuantSoftmax
from pqv_onnx.spec import QuantSpec

_BATCH = 20

M = TypeVar("M", bound=nn.Module)


def kinds_of(model: QuantModel) -> dict[str, list[Quantizer]]:
    """The quantizers of a model by their names, of which those of all blocks are one kind."""
    kinds: dict[str, list[Quantizer]] = defaultdict(list)
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            kinds[re.sub(r"\.\d+\.", ".*.", name).removesuffix(".quantizer")].append(module)
    return dict(kinds)


@contextmanager
def rounding(model: QuantModel, chosen: list[Quantizer]) -> Iterator[None]:
    """Inside of it the chosen quantizers round to the nearest, the rest of the model is float."""
    linears = [m for m in model.modules() if isinstance(m, QuantLinear) and m.quantizer in chosen]
    weights = [linear.weight.detach().clone() for linear in linears]
    others = [q for q in chosen if not isinstance(q, WeightQuantizer)]
    with torch.no_grad(), full_precision(), _replaced(others, _nearest):
        for linear in linears:
            linear.settle()
        try:
            yield
        finally:
            for linear, weight in zip(linears, weights, strict=True):
                linear.weight.copy_(weight)


def softmax_of_15_bits(model: QuantModel) -> AbstractContextManager[None]:
    """Inside of it attention weights are a softmax's of base e, in 15 bits."""
    return _replaced([m for m in model.modules() if isinstance(m, QuantSoftmax)], _fine)


@contextmanager
def _replaced(modules: Iterable[M], forward: Callable[[M], Callable[..., Any]]) -> Iterator[None]:
    """Inside of it modules compute what ``forward`` says of each."""
    modules = list(modules)
    for module in modules:
        module.forward = forward(module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def _fine(softmax: QuantSoftmax) -> Callable[..., tuple[Tensor, Tensor]]:
    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        with full_precision():
            _, attention = QuantSoftmax.forward(softmax, *inputs)
        return (attention * 2**15).round(), attention

    return forward


def _nearest(quantizer: Quantizer) -> Callable[..., Tensor]:
    return lambda x, _op=None: quantizer.quantize(x.float())


def sqnr_by_kind(model: QuantModel, images: Tensor) -> Iterator[tuple[str, int, float]]:
    """Kind, quantizers of it, and the logits' SQNR in dB with that kind alone rounded.

    Before them the whole model as it runs, and all of it but for its softmax.
    """

    def logits() -> Tensor:
        return torch.cat([model(batch) for batch in images.split(_BATCH)]).double()

    with torch.no_grad(), full_precision():
        wanted = logits()
    signal = wanted.square().sum().item()

    def sqnr() -> float:
        with torch.no_grad():
            return decibels(signal, (logits() - wanted).square().sum().item())

    kinds = kinds_of(model)
    everything = sum(map(len, kinds.values()))
    yield "all, as it runs", everything, sqnr()
    with softmax_of_15_bits(model):
        yield "all, but an exact softmax", everything, sqnr()
    for name, quantizers in kinds.items():
        with rounding(model, quantizers):
            yield name, len(quantizers), sqnr()


def main(
    precision: Annotated[str, typer.Option(help="A preset.")] = "w8a8",
    calibration_images: Annotated[int, typer.Option(min=1)] = 128,
    test_images: Annotated[int, typer.Option(min=1)] = 200,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Show the noise that each kind of tensor alone adds to the logits, without reconstruction."""
    torch.set_num_threads(threads)
    try:
        spec = QuantSpec.preset(precision)
        model = convert_to_qat(load_model(112, OUTPUT, head_images=HEAD_IMAGES), spec)
        data, _ = load_images("train", calibration_images, 0)
        calibrate(model, data, Calibration.of(quick=True))
        for name, count, sqnr in sqnr_by_kind(model.eval(), load_images("test", test_images)[0]):
            typer.echo(f"{name:30} {count:3} quantizers  {sqnr:5.1f} dB")
    except PqvError as error:
        typer.echo(f"error: {error}")
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
