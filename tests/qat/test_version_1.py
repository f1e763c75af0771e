"""Checkpoints of version 1 compute what they did: files by hand, as the old code wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pqv_onnx.checkpoint import FORMAT, load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.spec import QuantSpec
from tests.qat.models import float_model, images, qat_model

OLD_SCHEMES = {"residual": "power-of-two", "qkv": "per-tensor", "gelu": "asymmetric"}
"""So that the weights are timm's."""
_COMMON = {"img_size": [16, 12], "in_chans": 1, "num_classes": 7, "embed_dim": 32, "qkv_bias": True}
VIT: dict[str, Any] = _COMMON | {
    **{"architecture": "vision_transformer", "patch_size": [4, 4], "depth": 2, "num_heads": 2},
    **{"mlp_dim": 128, "proj_bias": True, "layer_scale": False, "class_token": True},
    **{"dist_token": False, "reg_tokens": 0, "no_embed_class": False, "global_pool": "token"},
    **{"fc_norm": False, "norm_eps": 1e-6},
}
SWIN: dict[str, Any] = _COMMON | {
    **{"architecture": "swin_transformer", "patch_size": [2, 2], "window_size": [4, 3]},
    **{"depths": [2, 2], "num_heads": [2, 4], "mlp_ratio": 4.0, "norm_eps": 1e-5},
}
FIELDS: dict[str, dict[str, Any]] = {
    "token": VIT,
    "distilled": VIT | {"dist_token": True},
    "registers": VIT | {"reg_tokens": 2, "no_embed_class": True, "layer_scale": True},
    "average": VIT | {"global_pool": "avg", "fc_norm": True},
    "without_bias": VIT | {"qkv_bias": False, "proj_bias": False},
    "swin": SWIN,
    "swin_one_axis": SWIN
    | {"depths": [2], "num_heads": [2], "window_size": [4, 6], "qkv_bias": False},
}
PREPROCESSING = {"mean": [0.5], "std": [0.5], "crop_pct": 0.9, "interpolation": "bicubic"}
_RENAMED = {
    "patch_embed.norm.input_quantizer.": "patch_embed.embedded.",
    "head.global_pool.pool.": "head.pool.quantizer.",
    "quantizer.": "patch_embed.quantizer.",
    "pool.": "pool.quantizer.",
    "fc_norm.": "norm.",
}
"""How names begin now, and how they did."""


def _renamed(name: str) -> str:
    found = next(((now, old) for now, old in _RENAMED.items() if name.startswith(now)), ("", ""))
    return found[1] + name.removeprefix(found[0])


@cache
def state_of(variant: str) -> Mapping[str, Tensor]:
    """timm's parameters, and today's steps and exponents under their old names."""
    state = dict(float_model(variant).state_dict())
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)
    if variant == "distilled":
        weight, bias = state.pop("head_dist.weight"), state.pop("head_dist.bias")
        state["head.difference"] = (state["head.bias"] - bias) / 2
        state["head.weight"] = torch.cat((state["head.weight"], weight), 1) / 2
        state["head.bias"] = (state["head.bias"] + bias) / 2
    today = qat_model(variant, "w4a4", OLD_SCHEMES).state_dict()
    steps = {name: value for name, value in today.items() if name.endswith(("_step", "exponent"))}
    return {_renamed(name): value.clone() for name, value in (state | steps).items()}


def write(path: Path, fields: dict[str, Any], state: Mapping[str, Tensor], **changes: Any) -> Path:
    """A file of version 1."""
    config = {
        "swin" if "depths" in fields else "vit": fields,
        "spec": QuantSpec.preset("w4a4").with_schemes(OLD_SCHEMES).to_dict(),
        **{"preprocessing": PREPROCESSING, "labels": None, "accuracy": None},
    }
    content = {"version": 1, "config": config | changes}
    save_file(dict(state), path, {FORMAT: json.dumps(content)})
    return path


@pytest.mark.parametrize("variant", FIELDS)
def test_old_files_compute_what_they_did(variant: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", FIELDS[variant], state_of(variant))
    found, today = load_qat(path), qat_model(variant, "w4a4", OLD_SCHEMES)
    assert found.config.preprocessing.crop_pct == 0.9
    assert torch.equal(found(images(8)), today(images(8)))
    assert found.state_dict().keys() == today.state_dict().keys()
    assert found.config.backbone.architecture == FIELDS[variant]["architecture"]


@pytest.mark.parametrize(
    ("variant", "changes", "sentence"),
    [
        ("token", {"depth": 3}, "missing blocks.2"),
        ("token", {"depth": "2"}, "vit is damaged"),
        ("token", {"depth": None}, "vit is damaged"),
        ("token", {"embed_dim": 64}, r"pos_embed is \[1, 13, 32\], expected \[1, 13, 64\]"),
        ("token", {"num_heads": 5}, "vit is damaged"),
        ("token", {"num_heads": 0}, "vit is damaged"),
        ("token", {"img_size": [16]}, "vit is damaged"),
        ("token", {"img_size": 7}, ""),
        ("token", {"patch_size": [0, 4]}, "vit is damaged"),
        ("token", {"global_pool": "median"}, ""),
        ("token", {"reg_tokens": -1}, ""),
        ("token", {"norm_eps": "small"}, ""),
        ("swin", {"depths": [2]}, ""),
        ("swin", {"depths": 2}, ""),
        ("swin", {"num_heads": [2, 3]}, r"bias_table is \[35, 4\], expected \[35, 3\]"),
        ("swin", {"window_size": [4, 0]}, "swin is damaged"),
        ("swin", {"mlp_ratio": 0.0}, ""),
        ("swin", {"img_size": [2, 4]}, ""),
    ],
)
def test_damaged_sizes(
    variant: str, changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.safetensors", FIELDS[variant] | changes, state_of(variant))
    with pytest.raises(PqvError, match=f"m.safetensors: .*{sentence}"):
        load_qat(path)


@pytest.mark.parametrize("config", [None, 5, "vit", [], ["vit"], {}, {"vit": 5}, {"vit": {}}])
def test_damaged_configs(config: object, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    content = json.dumps({"version": 1, "config": config})
    save_file({"head.bias": torch.zeros(7)}, path, {FORMAT: content})
    with pytest.raises(PqvError, match="m.safetensors: model config: "):
        load_qat(path)


def test_values_that_are_not_there(tmp_path: Path) -> None:
    state = state_of("token")
    for name in ("cls_token", "blocks.1.residual2.exponent"):
        fewer = {other: value for other, value in state.items() if other != name}
        with pytest.raises(PqvError, match=f"m.safetensors: missing {name}$"):
            load_qat(write(tmp_path / "m.safetensors", VIT, fewer))
    with pytest.raises(PqvError, match="m.safetensors: unknown tail.bias$"):
        load_qat(write(tmp_path / "m.safetensors", VIT, {**state, "tail.bias": torch.zeros(1)}))


def test_other_parts_are_checked_as_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "m.safetensors", VIT, state_of("token"), labels=["a"])
    with pytest.raises(PqvError, match="found 1 labels, expected 7"):
        load_qat(path)
