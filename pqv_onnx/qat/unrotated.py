"""Rotated models whose optimizer sees tensors as they were before their stream's rotation.

Norms and scales that were folded into weights stay there, and heads stay rotated. Adam and its like
scale the update of each element by itself, so the basis matters: of a pretrained model that is
rotated, they also move what gradients leave alone in the basis that it was trained in. So the
rotation is undone for training, and done again in every forward pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.utils import parametrize

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.rotation import Rotation, rotations
from pqv_onnx.qat.routes import Routes

_ORIGINAL = ".original"


def unrotate(model: QuantModel) -> None:
    """Make what ``convert_to_qat`` has rotated parameters without the rotation of the stream.

    The model computes what it did. Its state dict has other names; `rotated_state` has the usual.
    """
    for (module, name), rotation in _rotations(model).items():
        if parametrize.is_parametrized(module, name):
            raise PqvError("the model is unrotated already")
        parametrize.register_parametrization(module, name, rotation, unsafe=True)


def is_unrotated(model: nn.Module) -> bool:
    """Whether parameters of a model are without the rotation of the stream."""
    return any(parametrize.is_parametrized(module) for module in model.modules())


def rotated_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of a model, unrotated or not, as it would be rotated."""
    state = {}
    for key, tensor in model.state_dict().items():
        if key.endswith(_ORIGINAL):
            path, _, name = key.removesuffix(_ORIGINAL).rpartition(".parametrizations.")
            key, tensor = f"{path}.{name}", getattr(model.get_submodule(path), name).detach()
        state[key] = tensor
    return state


@contextmanager
def unrotated(model: nn.Module) -> Iterator[None]:
    """Inside of it a fake-quantized model is unrotated; any other one stays what it is."""
    if not isinstance(model, QuantModel):
        yield
        return
    unrotate(model)
    try:
        yield
    finally:
        for module, name in _rotations(model):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _rotations(model: QuantModel) -> dict[tuple[nn.Module, str], Rotation]:
    """By module and name. A layer may read one stream and write another: it has both."""
    found: dict[tuple[nn.Module, str], Rotation] = defaultdict(Rotation)
    if model.config.spec.residual.scheme == "rotated":
        for stream in Routes(model.config.backbone.graph, model.handlers).streams():
            for module, name, rotation in rotations(stream):
                found[module, name].add(rotation)
    return found
