"""Recordings: calls with their modules' paths, names of parameters, and writes in place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pqv_onnx.trace import evaluate, normalise, record
from pqv_onnx.trace.values import BATCH, function_name
from tests.trace.models import MODELS, images, tensors


def test_calls_of_vit() -> None:
    small = MODELS["vit"]
    recording = record(small.make("meta"), small.size)
    first, *_, last = recording.calls
    assert function_name(first.function) == "conv2d"
    assert first.path == "patch_embed.proj"
    assert first.args[0] is recording.image
    assert [value.name for value in first.args[1:3]] == [
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
    ]
    assert last.path == "head"
    assert last.outputs == recording.outputs
    assert recording.outputs[0].shape == (BATCH, 5)


class Shared(nn.Module):
    """One layer used twice, a write in place to a value, and to a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.same = self.layer
        self.register_buffer("offset", torch.ones(2, 8), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.same(self.layer(x.flatten(1).unflatten(1, (1, 8))))
        x += self.layer.bias
        offset = self.offset * 2
        offset[0] = self.layer.bias
        offset[1] = 1
        return x.add_(offset.sum(0)).flatten(1)


def test_writes_in_place() -> None:
    """The result of a write is a new value; parameters and buffers keep theirs."""
    model = Shared().eval()
    graph = normalise(record(model, (2, 2, 2)))
    assert [node.path for node in graph.nodes if node.kind == "linear"] == ["layer", "layer"]
    assert graph.names() == {"layer.weight", "layer.bias", "offset"}
    x = images((2, 2, 2), 3)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(evaluate(graph, tensors(model), x), model(x))


class Masked(nn.Module):
    """Makes a tensor for all images without saying where."""

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones((x.shape[0], 1024, 1024)).to(x.device)
        return x * mask[:, :1, :1, None]


def test_a_tensor_of_the_batch_takes_no_memory() -> None:
    """A recorded batch of them would be 4 TB."""
    recording = record(Masked().eval(), (2, 2, 2))
    assert recording.calls[0].outputs[0].shape == (BATCH, 1024, 1024)


def test_nothing_is_left_behind() -> None:
    """Neither hooks nor a function mode, even if the forward fails."""
    small = MODELS["vit"]
    model = small.make("meta")
    before = model.state_dict().keys()
    record(model, small.size)
    assert model.state_dict().keys() == before
    assert not torch.overrides._get_current_function_mode_stack()
