"""Which steps an element has, wherever it was moved."""

from __future__ import annotations

import torch
from torch import Tensor

from pqv_onnx.qat.grid import Grid
from pqv_onnx.qat.quantizers import ActivationQuantizer, ResidualQuantizer
from pqv_onnx.spec import TensorSpec
from pqv_onnx.trace.nodes import Input, Move
from pqv_onnx.trace.values import Batch, Call, Operand

TOKENS = Input("", (), (Batch(1), 4, 2))
TURNED = Move("", (TOKENS,), (Batch(1), 2, 4), Call(Tensor.transpose, (Operand(0), 1, 2)))
MERGED = Move("", (TOKENS,), (Batch(1), 2, 4), Call(Tensor.reshape, (Operand(0), -1, 2, 4)))
BACK = Move("", (TURNED,), (Batch(1), 4, 2), Call(Tensor.transpose, (Operand(0), 1, 2)))


def residual(scheme: str = "power-of-two") -> ResidualQuantizer:
    quantizer = ResidualQuantizer(TensorSpec(8, scheme), 2)
    quantizer.set_step(torch.ones(()))
    quantizer.exponent.copy_(torch.tensor([0, 2 if scheme == "power-of-two" else 0]))
    return quantizer


def test_one_step() -> None:
    """However it is moved."""
    quantizer = ActivationQuantizer(8)
    quantizer.set_step(torch.ones(()))
    for grid in (Grid.of(quantizer), Grid.of(quantizer).moved(TURNED)):
        assert grid.exponent is None and grid.channels is None
        assert grid.channel_step.item() == 1
    per_tensor = residual("per-tensor")
    assert Grid.of(per_tensor).ratios is None
    assert Grid.of(per_tensor).equals(Grid.of(per_tensor).moved(TURNED))


def test_a_step_per_channel_goes_with_it() -> None:
    grid = Grid.of(residual())
    assert grid.channel_step.tolist() == [1, 4]
    assert grid.moved(TURNED).channel_step.tolist() == [[1], [4]]
    assert grid.moved(MERGED).channel_step.tolist() == [1, 4, 1, 4]
    assert grid.moved(MERGED).step.item() == 1


def test_channels_that_came_back_are_in_order() -> None:
    grid = Grid.of(residual())
    assert grid.moved(TURNED).moved(BACK).equals(grid)


def test_codes_times_steps_are_the_value() -> None:
    """Before and behind a move, which moves codes and steps alike."""
    quantizer = residual()
    real = quantizer(torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)))
    for node in (TURNED, MERGED):
        codes = real / Grid.of(quantizer).channel_step
        moved = codes.reshape(3, *node.shape[1:]) if node is MERGED else codes.transpose(1, 2)
        again = moved * Grid.of(quantizer).moved(node).channel_step
        wanted = real.reshape(3, 2, 4) if node is MERGED else real.transpose(1, 2)
        assert torch.equal(again.float(), wanted)
