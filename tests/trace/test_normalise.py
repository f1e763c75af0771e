"""The normalised graph computes what timm computes, whatever the model's structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import timm.layers
import torch
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.trace import Graph, evaluate, normalise, record
from pqv_onnx.trace.nodes import FUNCTIONS, Activation, Attention, Linear, Max, Norm, Rope, Scale
from pqv_onnx.trace.values import Batch
from tests.trace.models import MODELS, Small, graph, images, tensors


def kinds(graph: Graph) -> Counter[str]:
    return Counter(node.kind for node in graph.nodes)


@pytest.mark.parametrize("structure", MODELS)
def test_equals_timms_forward(structure: str) -> None:
    """For two batch sizes: the graph says nothing about the batch."""
    small = MODELS[structure]
    model = small.make()
    for count in (1, 3):
        x = images(small.size, count)
        with torch.no_grad():
            wanted, found = model(x), evaluate(graph(structure), tensors(model), x)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("structure", MODELS)
def test_names_are_timms(structure: str) -> None:
    """Parameters, buffers and paths; and no parameter is left out."""
    small = MODELS[structure]
    model, nodes = small.make("meta"), graph(structure).nodes
    names = graph(structure).names()
    assert names <= set(tensors(model))
    assert names >= {name for name, _ in model.named_parameters()}
    modules = dict(model.named_modules())
    assert {node.path for node in nodes} <= set(modules)
    for node in nodes:
        if isinstance(node, Linear) and isinstance(node.weight.source, str):
            assert node.weight.source == f"{node.path}.weight"


@pytest.mark.parametrize("structure", ["vit", "swin", "eva02", "relative_bias", "siglip"])
def test_fused_attention_of_timm_changes_nothing(structure: str) -> None:
    fused = kinds(graph(structure))
    try:
        timm.layers.set_fused_attn(False)
        parts = kinds(MODELS[structure].graph())
    finally:
        timm.layers.set_fused_attn(True)
    del fused["move"], parts["move"]
    assert fused == parts


def test_a_model_on_any_device_and_in_training_is_left_alone() -> None:
    small = MODELS["vit"]
    model = small.make().train()
    before = {name: tensor.clone() for name, tensor in tensors(model).items()}
    assert kinds(normalise(record(model, small.size))) == kinds(graph("vit"))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    for name, tensor in tensors(model).items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_gradients_reach_every_parameter() -> None:
    small = MODELS["dinov3_swiglu"]
    model = small.make()
    evaluate(graph("dinov3_swiglu"), tensors(model), images(small.size)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_shapes_tell_the_batch() -> None:
    swin = graph("swin")
    assert swin.input.shape == (Batch(1), 3, 64, 64)
    assert swin.output.shape == (Batch(1), 5)
    attentions = [node for node in swin.nodes if isinstance(node, Attention)]
    assert [node.shape[0] for node in attentions] == [Batch(16)] * 2 + [Batch(4)] * 2


def test_attention_fields() -> None:
    """Windows' masks are biases, a scale of Swin v2 is a factor, pooling has constant queries."""
    swin = [node for node in graph("swin").nodes if isinstance(node, Attention)]
    assert [len(node.factors) for node in swin] == [1, 1, 1, 1]
    assert all(node.biases for node in swin)
    swinv2 = [node for node in graph("swinv2").nodes if isinstance(node, Attention)]
    assert any(not isinstance(factor, float) for factor in swinv2[0].factors)
    pool = [node for node in graph("siglip").nodes if isinstance(node, Attention)]
    assert [len(node.nodes) for node in pool] == [3, 3, 2]


def test_rope_fields() -> None:
    for structure, pairs, prefix in (("eva02", True, 1), ("dinov3", False, 5)):
        ropes = [node for node in graph(structure).nodes if isinstance(node, Rope)]
        assert [(node.pairs, node.prefix) for node in ropes] == [(pairs, prefix)] * 4


def test_norms_and_activations() -> None:
    def norms(structure: str) -> set[str]:
        return {node.of for node in graph(structure).nodes if isinstance(node, Norm)}

    assert norms("vit") == {"layer"}
    assert norms("swinv2") == {"layer", "l2"}
    assert norms("aimv2") == {"rms"}
    activations = [n for n in graph("clip").nodes if isinstance(n, Activation)]
    assert {(node.function, node.factor) for node in activations} == {("silu", 1.702)}
    assert kinds(graph("eva02"))["gate"] == 2


def test_two_heads_are_one_linear_layer() -> None:
    """Of a distilled model; and what is added to a concat is added to its parts."""
    deit = graph("deit_distilled")
    head = deit.output
    assert isinstance(head, Linear)
    assert head.consts[0].names() == {"head.weight", "head_dist.weight"}
    embedding = next(node for node in deit.nodes if node.kind == "concat")
    assert [const.names() for const in embedding.consts] == [
        {"cls_token", "pos_embed"},
        {"dist_token", "pos_embed"},
    ]


class Model(nn.Module):
    """Something small around ``body``, which gets tokens [B, 4, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.embed(x).flatten(2).transpose(1, 2))

    def body(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_activations_by_name(function: str) -> None:
    class Activated(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            return FUNCTIONS[function](self.one(x))

    check(Activated())


def test_scalars_and_constants() -> None:
    class Scaled(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            x = self.one(x) * 3 / 2
            x += self.two.bias[:4, None].expand(4, 8)
            return x * self.two.weight[0]

    scaled = check(Scaled())
    assert [node.kind for node in scaled.nodes if node.kind in ("scale", "add")] == [
        *("scale", "scale", "add", "scale"),
    ]


def test_differences() -> None:
    """A factor of what is subtracted takes the sign; a constant that only takes a type stays."""

    class Difference(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            x = self.one(x) - self.two.weight[0].type_as(x) * x
            x = x - self.two.bias
            return self.one.bias - torch.addcmul(self.one.bias, x, self.two.weight[1])

    factors = [node.by for node in check(Difference()).nodes if isinstance(node, Scale)]
    assert [by for by in factors if isinstance(by, float)] == [-1.0]


def test_arguments_by_name() -> None:
    class Named(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.mul(self.one(x), other=torch.mul(input=x, other=3.0))
            x = torch.div(x.sub(other=self.two(x)), other=2.0)
            bias, factor = self.one.bias, self.two.weight[1]
            return torch.addcmul(bias, tensor1=x, tensor2=factor)

    kinds = [node.kind for node in check(Named()).nodes]
    assert [kinds.count(kind) for kind in ("gate", "scale", "add")] == [1, 4, 2]


def test_moves() -> None:
    class Moved(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            x = self.one(x).roll(1, 1).unflatten(1, (2, 2)).permute(0, 2, 1, 3)[:, :, :1]
            a, b = torch.nn.functional.pad(x, (0, 0, 0, 1)).chunk(2, -1)
            first, second = torch.stack((a, b), 2).unbind(2)
            return torch.cat((second, first.contiguous()), -1).reshape(len(x), -1)

    check(Moved())


def test_less_than_a_patch_is_left_out() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 4, 4, bias=False)).eval()
    normal = normalise(record(model, (3, 10, 9)))
    x = images((3, 10, 9))
    torch.testing.assert_close(evaluate(normal, tensors(model), x), model(x))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(7, 4, 3), ((3, 4), (2, 4), (1, 0)), (1, 3, 0), (3, 1, "valid")],
)
def test_patches_of_an_image_may_overlap_or_lie_apart(
    kernel: int | tuple[int, int], stride: int | tuple[int, int], padding: Any
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, kernel, stride, padding)).eval()
    normal = normalise(record(model, (3, 16, 18)))
    x = images((3, 16, 18))
    torch.testing.assert_close(evaluate(normal, tensors(model), x), model(x))


def test_maxima() -> None:
    class Largest(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(x).unflatten(1, (2, 2)).amax(1) + self.two(x).amax((-2,), keepdim=True)

    assert {(node.axes, node.keep) for node in check(Largest()).nodes if isinstance(node, Max)} == {
        ((1,), False),
        ((1,), True),
    }


def test_grouped_heads() -> None:
    class Grouped(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            q = self.one(x).unflatten(2, (4, 2)).transpose(1, 2)
            k = self.two(x)[..., :4].unflatten(2, (2, 2)).transpose(1, 2)
            attention = torch.nn.functional.scaled_dot_product_attention
            return attention(q, k, k, enable_gqa=True, scale=0.5)

    nodes = check(Grouped()).nodes
    node = next(node for node in nodes if isinstance(node, Attention))
    assert node.grouped and node.factors == (0.5,)


@pytest.mark.parametrize(
    "exchange",
    [lambda k: k.movedim(2, 1), lambda k: k.swapaxes(-1, 1), lambda k: k.permute(0, 2, 1)],
)
def test_keys_are_transposed_in_any_way(exchange: Callable[[Tensor], Tensor]) -> None:
    class Transposed(Model):
        def body(self, x: torch.Tensor) -> torch.Tensor:
            return (self.one(x) @ exchange(self.two(x))).softmax(-1) @ x

    assert any(isinstance(node, Attention) for node in check(Transposed()).nodes)


def check(model: Model) -> Graph:
    """The model's graph, which computes what it does."""
    model.eval()
    normal = normalise(record(model, (3, 8, 8)))
    x = images((3, 8, 8), 3)
    with torch.no_grad():
        found, wanted = evaluate(normal, tensors(model), x), model(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    return normal


def test_images_of_another_size() -> None:
    small = MODELS["vit"]
    with pytest.raises(PqvError, match=r"^images are \[3, 16, 16\], expected \[3, 32, 32\]$"):
        evaluate(graph("vit"), tensors(small.make()), images((3, 16, 16)))


def test_hidden_sizes_do_not_enter() -> None:
    """The same structure, another width: the same kinds in the same order."""
    wide = Small("vit_tiny_patch16_224", MODELS["vit"].kwargs | dict(embed_dim=48))
    assert [n.kind for n in wide.graph().nodes] == [n.kind for n in graph("vit").nodes]
