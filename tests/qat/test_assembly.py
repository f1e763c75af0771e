"""Handlers and their modules: names as in timm, bits by what a node is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from pqv_onnx.qat.assembly import Assembly
from pqv_onnx.qat.convert import describe
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import ActivationQuantizer
from pqv_onnx.spec import QuantSpec, TensorSpec
from pqv_onnx.trace.nodes import Linear, Norm
from pqv_onnx.trace.store import detach
from tests.qat.models import float_model

W8A8 = QuantSpec.preset("w8a8")
BLOCK = {
    *("norm1", "norm1.quantizer", "norm2", "norm2.quantizer", "residual1", "residual2"),
    *("attn.qkv", "attn.qkv.quantizer", "attn.proj", "attn.proj.quantizer", "attn.quantizer"),
    *("attn.q_quantizer", "attn.k_quantizer", "attn.v_quantizer"),
    *("mlp.fc1", "mlp.fc1.quantizer", "mlp.act.input_quantizer", "mlp.act.quantizer"),
    *("mlp.fc2", "mlp.fc2.quantizer"),
}
OUTSIDE = {
    "token": {"cls_token", "pos_embed", "residual", "norm", "norm.quantizer", "head"},
    "distilled": {"cls_token", "dist_token", "pos_embed", "residual", "norm", "norm.quantizer"},
    "registers": {"cls_token", "reg_token", "pos_embed", "residual", "norm", "norm.quantizer"},
    "average": {"cls_token", "pos_embed", "residual", "pool", "fc_norm", "fc_norm.quantizer"},
    "average_without_class_token": {"pos_embed", "residual", "pool", "fc_norm"},
    "swin": {
        *("patch_embed.norm", "patch_embed.norm.quantizer", "patch_embed.norm.input_quantizer"),
        *("norm", "norm.quantizer", "head.global_pool.pool", "head.fc", "head.fc.quantizer"),
    },
}


def assembled(variant: str, spec: QuantSpec = W8A8) -> tuple[nn.Module, Assembly]:
    """An empty module with a model's state, and its assembly."""
    root, model = nn.Module(), float_model(variant)
    return root, Assembly(root, detach(describe(model), model), spec)


def owners(root: nn.Module) -> set[str]:
    """The modules that have parameters or buffers of their own."""
    return {name.rpartition(".")[0] for name in root.state_dict()}


@pytest.mark.parametrize("variant", OUTSIDE)
def test_names(variant: str) -> None:
    found = owners(assembled(variant)[0])
    outside = {name for name in found if not name.startswith(("blocks.", "layers."))}
    embedding = {"quantizer", "patch_embed.proj", "patch_embed.proj.quantizer"}
    assert outside >= OUTSIDE[variant] | embedding
    heads = {"head", "head.quantizer", "fc_norm.quantizer"}
    assert outside <= OUTSIDE[variant] | embedding | heads


def test_names_in_blocks() -> None:
    extra = {
        "token": ("blocks.1", set()),
        "registers": ("blocks.1", {"ls1.gamma", "ls2.gamma"}),
        "swin": ("layers.1.blocks.0", {"attn.relative_position_bias_table"}),
    }
    for variant, (path, more) in extra.items():
        found = owners(assembled(variant)[0])
        own = {name.removeprefix(f"{path}.") for name in found if name.startswith(f"{path}.")}
        assert own == BLOCK | more
    found = owners(assembled("swin")[0])
    assert {name for name in found if name.startswith("layers.1.downsample")} == {
        *("layers.1.downsample.norm", "layers.1.downsample.norm.quantizer"),
        *("layers.1.downsample.reduction", "layers.1.downsample.reduction.quantizer"),
        "layers.1.downsample.residual",
    }


def test_taken_names_get_a_number() -> None:
    root, assembly = assembled("token")
    for _ in range(2):
        assembly.add("norm.quantizer", ActivationQuantizer(8))
    assert {"norm.quantizer", "norm.quantizer_2", "norm.quantizer_3"} <= owners(root)


def test_every_module_is_one_nodes() -> None:
    root, assembly = assembled("swin")
    made = [module for handler in assembly.handlers.values() for module in handler.modules]
    assert len(made) == len(set(made))
    own = {name for module in made for name in map(id, module.parameters())}
    assert own == set(map(id, root.parameters()))


@pytest.mark.parametrize("variant", ["token", "distilled", "average", "average_after_norm", "swin"])
def test_roles(variant: str) -> None:
    """Of weights and norms: those of the embedding, of blocks and of the head have their own."""
    four = {"weight": TensorSpec(4, "per-channel"), "norm": TensorSpec(4, "per-tensor")}
    root, assembly = assembled(variant, replace(W8A8, **four))
    inside = ("blocks.", "layers.")
    for name, module in root.named_modules():
        if isinstance(module, QuantLinear):
            assert module.quantizer.bits == (4 if name.startswith(inside) else 8), name
    for node, handler in assembly.handlers.items():
        if isinstance(node, Linear):
            head = node.path.startswith("head")
            assert (assembly.is_head(node), assembly.is_final(node)) == (head, head)
        if isinstance(node, Norm) and not assembly.starts_stream(node):
            final = not node.path.startswith(inside)
            assert assembly.is_final(node) == final
            assert handler.grid is not None
            assert handler.grid.quantizer.bits == (8 if final else 4)


@pytest.mark.parametrize(
    ("variant", "starts"),
    [("token", [""]), ("swin", ["patch_embed.norm", "layers.1.downsample.reduction"])],
)
def test_streams_start_where_the_graph_says(variant: str, starts: list[str]) -> None:
    _, assembly = assembled(variant)
    assert [node.path for node in assembly.handlers if assembly.starts_stream(node)] == starts
