"""Float models to fake-quantized ones: what they compute is recorded, their weights are copied."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from timm.data import ImageNetInfo
from torch import Tensor, nn

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.config import TASKS, Backbone, ModelConfig
from pqv_onnx.qat.device import device_of
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.rotation import rotate, rotate_heads
from pqv_onnx.qat.routes import Routes
from pqv_onnx.runtime.preprocess import Preprocessing
from pqv_onnx.spec import QuantSpec
from pqv_onnx.trace import Graph, normalise, record
from pqv_onnx.trace.maps import split_chain
from pqv_onnx.trace.nodes import Linear, Move, Node, Norm
from pqv_onnx.trace.store import detach
from pqv_onnx.trace.values import constant

_IMAGENET_CLASSES = 1000
_UNIT = "unit_embedding"
_METHODS = {"tokens": "forward_features", "features": "forward_intermediates"}
"""What a model must have to give tokens or features."""
_MAPS = 4
"""Feature maps, of a model that has so many stages or blocks."""


def convert_to_qat(
    model: nn.Module,
    spec: QuantSpec,
    preprocessing: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
    size: tuple[int, int, int] | None = None,
    task: str | None = None,
) -> QuantModel:
    """Build the fake-quantized form of a transformer.

    Dropout and stochastic depth are left out. Of a distilled DeiT the two heads become one,
    whose logits are the mean of theirs.

    Args:
        model: a vision transformer of timm, or a module that is made of the same operations.
        spec: the quantization scheme.
        preprocessing: how to make the input; by default what timm says about the model.
        labels: a name for each class; by default timm's, if the classes are ImageNet's.
        size: channels, height and width of the images; by default what the model is made for.
        task: what the quantized model gives: ``logits``, the ``embedding`` that the head reads, the
            same with length 1 (``unit_embedding``), the ``tokens`` that it is pooled from, or
            ``features``, maps of four depths (see ``feature_maps``); by default logits if there is
            a head.

    Returns:
        An uncalibrated model with copies of the weights; see ``calibrate``.

    Raises:
        PqvError: the model computes something that is not supported, or the spec has bits for a
            layer that is not there.
    """
    task = task or default_task(model)
    model = for_task(model, "embedding" if task == _UNIT else task)
    graph = _full_graph(model, spec, task, size)
    backbone = Backbone(architecture(model), detach(graph, model), task)
    if preprocessing is None:
        preprocessing = timm_preprocessing(model, backbone.in_chans)
    if labels is None and task == "logits" and gives_imagenet(model):
        labels = imagenet_labels()
    quantized = QuantModel(ModelConfig(backbone, spec, preprocessing, labels))
    load_float_weights(quantized, graph, model)
    _rotate(quantized)
    return quantized


def check(model: nn.Module, spec: QuantSpec, task: str = "logits") -> None:
    """Raise what ``convert_to_qat`` would, without a copy of the weights.

    Args:
        model: gives what the task says, see ``for_task``.
        spec: the quantization scheme.
        task: see ``convert_to_qat``.
    """
    graph = _full_graph(model, spec, task)
    backbone = Backbone(architecture(model), detach(graph, model), task)
    preprocessing = timm_preprocessing(model, backbone.in_chans)
    with torch.device("meta"):
        QuantModel(ModelConfig(backbone, spec, preprocessing))


def _full_graph(
    model: nn.Module, spec: QuantSpec, task: str, size: tuple[int, int, int] | None = None
) -> Graph:
    """What a model computes, and what the spec and the task add behind it."""
    graph = describe(model, size)
    if spec.residual.scheme == "rotated":
        graph = with_projections(graph)
    if task == _UNIT:  # behind the projection, which undoes a rotation
        graph = Graph.of(Norm("length", (graph.output,), graph.output.shape, "l2"))
    return graph


def describe(model: nn.Module, size: tuple[int, int, int] | None = None) -> Graph:
    """What a model computes, for images of ``size``, or of the one that it was made for.

    Raises:
        PqvError: an operation is not supported; the sentence begins with its module.
    """
    return normalise(record(model, size or image_size(model)))


def default_task(model: nn.Module) -> str:
    """What a model gives if nothing else is asked for: logits if it has a head."""
    return "embedding" if getattr(model, "num_classes", 1) == 0 else "logits"


def for_task(model: nn.Module, task: str) -> nn.Module:
    """The model, or a copy of it that gives an embedding, tokens or features.

    Raises:
        PqvError: the task is unknown, or the model cannot give it.
    """
    headless = getattr(model, "num_classes", 1) == 0
    if task not in TASKS:
        raise PqvError(f"task is {task!r}, expected {', '.join(TASKS)}")
    embedding = task in ("embedding", "unit_embedding")
    needed = "reset_classifier" if embedding else _METHODS.get(task)
    if task == "logits" and headless:
        raise PqvError("the model has no head, expected the task embedding, tokens or features")
    if needed is None or (task == "embedding" and headless):
        return model
    if not hasattr(model, needed) and not (embedding and headless):
        raise PqvError(f"task is {task!r}, but the model has no {needed}")
    changed: Any = copy.deepcopy(model)
    if task == "tokens":
        changed.forward = changed.forward_features
    elif task == "features":
        changed.forward = functools.partial(feature_maps, changed)
    elif not headless:
        changed.reset_classifier(0)
    if task == "unit_embedding":
        changed.forward = functools.partial(_at_length_1, changed.forward)
    return changed


def _at_length_1(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return F.normalize(forward(images), dim=-1)


def feature_maps(model: Any, images: Tensor) -> list[Tensor]:
    """The outputs of a Swin's four stages, or of four blocks of a model without stages.

    These are what timm's ``forward_intermediates`` gives, the last of each quarter of a ViT's
    blocks; without the norm at the end, and with channels last.

    Args:
        model: a timm model.
        images: normalised, [B, C, H, W].

    Returns:
        Tensors [B, rows, columns, channels], the first blocks' first.
    """
    count = len(model.feature_info)
    last = sorted({max(count * part // _MAPS, 1) - 1 for part in range(1, _MAPS + 1)})
    maps = model.forward_intermediates(images, indices=last, intermediates_only=True)
    return [one.permute(0, 2, 3, 1) for one in maps]


def with_projections(graph: Graph) -> Graph:
    """The graph with a last matmul by the identity for each output that is no matmul's.

    A rotation of the residual stream that reaches the output is undone by it.
    """
    if len(graph.outputs) == 1:
        return Graph.of(_projected(graph.output, "projection"))
    numbered = enumerate(graph.outputs)
    return Graph.of(*(_projected(output, f"projections.{i}") for i, output in numbered))


def _projected(output: Node, name: str) -> Node:
    source, _ = split_chain(output, Move)
    channels = output.shape[-1]
    if isinstance(source, Linear) or not isinstance(channels, int):
        return output
    weight = constant(torch.eye, channels, shape=(channels, channels))
    return Linear(name, (output,), output.shape, weight)


def image_size(model: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of a model's images.

    Raises:
        PqvError: the model does not say.
    """
    embed = getattr(model, "patch_embed", None)
    size = getattr(embed, "img_size", None)
    cfg = pretrained_cfg(model)
    if size is not None:
        channels = getattr(model, "in_chans", None) or cfg.get("input_size", (3,))[0]
        return (channels, *size)
    if "input_size" not in cfg:
        raise PqvError(
            f"the model is a {type(model).__name__}, expected a module of timm, which says for "
            "which image size it is, without another around it"
        )
    channels, height, width = cfg["input_size"]
    return channels, height, width


@torch.no_grad()
def load_float_weights(quantized: QuantModel, graph: Graph, model: nn.Module) -> None:
    """Copy the values of a float model's constants; ``graph`` is what it computes."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for node, stored in zip(graph.nodes, quantized.config.backbone.graph.nodes, strict=True):
        values = [const.value(tensors) for const in node.consts]
        quantized.handlers[stored].set_constants(values)


def with_spec(model: QuantModel, spec: QuantSpec) -> QuantModel:
    """The float model of an unrotated one under another spec, uncalibrated; rotated if it says so.

    Args:
        model: under a spec without rotations (``QuantSpec.unrotated``); it is left as it is.
        spec: the quantization scheme.

    Raises:
        PqvError: the spec has bits for a layer that is not there.
    """
    made = QuantModel(replace(model.config, spec=spec))
    made.load_state_dict(model.state_dict())
    _rotate(made)
    return made.to(device_of(model)).eval()


def _rotate(model: QuantModel) -> None:
    """Fold the rotations that the spec asks for into float weights."""
    spec = model.config.spec
    routes = Routes(model.config.backbone.graph, model.handlers)
    if spec.residual.scheme == "rotated":
        for stream in routes.streams():
            rotate(stream)
    if spec.qkv.scheme == "rotated":
        for heads in routes.heads():
            rotate_heads(heads)


def pretrained_cfg(model: nn.Module) -> Mapping[str, Any]:
    """What timm knows of the model."""
    cfg = getattr(model, "pretrained_cfg", None)
    return cfg if isinstance(cfg, Mapping) else {}


def architecture(model: nn.Module) -> str:
    """The model's name in timm, else its class's."""
    return str(pretrained_cfg(model).get("architecture") or type(model).__name__)


def gives_imagenet(model: nn.Module) -> bool:
    """Whether a model's classes are those of ImageNet-1k, as far as timm says."""
    numbers = getattr(model, "num_classes", None), pretrained_cfg(model).get("num_classes")
    return numbers == (_IMAGENET_CLASSES, _IMAGENET_CLASSES)


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """timm's names of ImageNet's 1000 classes."""
    return tuple(ImageNetInfo().label_descriptions())


def timm_preprocessing(model: nn.Module, in_chans: int) -> Preprocessing:
    """What timm says about the input; grey images get the colour channels' average."""
    cfg = pretrained_cfg(model)
    mean, std = cfg.get("mean", (0.5,)), cfg.get("std", (0.5,))
    if len(mean) != in_chans:
        mean, std = ((sum(mean) / len(mean),) * in_chans, (sum(std) / len(std),) * in_chans)
    return Preprocessing(
        mean=tuple(mean),
        std=tuple(std),
        crop_pct=float(cfg.get("crop_pct") or 1.0),
        interpolation=cfg.get("interpolation") or "bicubic",
        crop_mode=cfg.get("crop_mode") or "center",
    )
