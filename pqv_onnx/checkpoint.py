"""Checkpoints of fake-quantized models: weights, steps, exponents and the model's config."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.files import check_file, check_writable, why_no_file, write_atomically
from pqv_onnx.qat.build import create_timm, set_image_size
from pqv_onnx.qat.calibration import check_calibrated
from pqv_onnx.qat.config import ModelConfig
from pqv_onnx.qat.convert import pretrained_cfg
from pqv_onnx.qat.model import QuantModel
from pqv_onnx.qat.quantizers import GroupedQuantizer, ResidualQuantizer
from pqv_onnx.qat.version_1 import upgrade

FORMAT = "pqv_onnx.qat"
VERSION = 2
SUFFIXES = (".safetensors", ".pth", ".pt")

_State = dict[str, Tensor]


def check_name(path: str | os.PathLike[str]) -> None:
    """Fail before the work, not after it, if ``save_qat`` could not write there.

    Raises:
        PqvError: the name does not end in ``.safetensors``, or there can be no such file.
    """
    if check_writable(path).suffix != ".safetensors":
        raise PqvError(f"{path}: a checkpoint is written as .safetensors, found another ending")


def save_qat(path: str | os.PathLike[str], model: QuantModel) -> None:
    """Write ``model`` to one safetensors file with its config in the metadata.

    The file is written whole or not at all.

    Args:
        path: a file name that ends in ``.safetensors``.
        model: a calibrated model.

    Raises:
        PqvError: the model is not calibrated, the name has another ending, or the file cannot
            be written.
    """
    check_name(path)
    check_calibrated(model)
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    # One entry: safetensors writes several in random order, and equal models would differ.
    content = json.dumps({"version": VERSION, "config": model.config.to_dict()})
    write_atomically(path, save(state, {FORMAT: content}))


def load_qat(path: str | os.PathLike[str]) -> QuantModel:
    """Read a checkpoint of ``save_qat``, or a torch file of weights.

    Args:
        path: ``.safetensors``, or ``.pth``/``.pt`` that holds a dict with ``state_dict`` and
            ``config`` (``ModelConfig.to_dict``). Nothing but weights is unpickled.

    Returns:
        The model in evaluation mode; its ``checkpoint_sha256`` is the file's.

    Raises:
        PqvError: the file is missing, damaged or of another format, or a key is missing, left
            over, misshapen or not finite.
    """
    source = Path(path)
    try:
        state, config = _read_qat(source)
        model = _empty(config)
        _check_state(state, model.state_dict())
        model.load_state_dict(state, assign=True)
        _check_grids(model)
    except PqvError as error:
        raise PqvError(f"{source}: {error}") from error
    with source.open("rb") as file:
        model.checkpoint_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return model.eval()


def load_float(
    path: str | os.PathLike[str],
    timm_name: str,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
) -> nn.Module:
    """Create a timm model with the float weights of a file.

    Args:
        path: ``.safetensors``, or ``.pth``/``.pt`` that holds a state dict, by itself or under
            ``model`` or ``state_dict``; of timm's ``train.py``, that of the trained weights, not
            ``state_dict_ema``. Other floating-point types become float32.
        timm_name: the model's name in timm; the number of classes is read from the weights.
        size: height and width of the images; by default what timm makes the model for. Positions
            of the file are those of either.
        classes: of a new head, whose weights timm draws; the file's head is left out.

    Raises:
        PqvError: the name is unknown, or the file is missing, damaged or does not fit, or the
            model cannot take images of this size.
    """
    source = Path(path)
    try:
        state = _float_state(_read_float(source))
        head = state.get("head.weight", state.get("head.fc.weight"))
        found = len(head) if classes is None and head is not None and head.ndim else classes
        model = create_timm(timm_name, **({} if found is None else {"num_classes": found}))
        if classes is not None:
            state |= _head_of(model)
        if size is not None and not _fits(state, model):
            set_image_size(model, size)
        state = _without_derived(state, model)
        try:
            _check_state(state, model.state_dict())
        except PqvError as error:
            raise PqvError(f"not the weights of {timm_name}: {error}") from error
        model.load_state_dict(state)
        if size is not None:
            set_image_size(model, size)
    except PqvError as error:
        raise PqvError(f"{source}: {error}") from error
    return model.eval()


def is_qat(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a checkpoint for `load_qat`.

    Raises:
        PqvError: there is no such file, or it is damaged.
    """
    source = check_file(path)
    if source.suffix not in SUFFIXES:
        return False
    try:
        if not _is_safetensors(source):
            return _is_qat_dict(_read_torch(source, mapped=True))
        with safe_open(source, framework="pt") as file:
            return FORMAT in (file.metadata() or {})
    except PqvError as error:
        raise PqvError(f"{source}: {error}") from error
    except (SafetensorError, OSError) as error:
        raise PqvError(f"{source}: is no readable safetensors file ({error})") from error


def _float_state(content: Any) -> _State:
    """The weights in what a file holds, by their names in the model."""
    for key in ("model", "state_dict"):
        inner = content.get(key) if isinstance(content, Mapping) else None
        content = inner if isinstance(inner, Mapping) else content
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in _tensors(content).items()  # DataParallel's module is the model
    }


def _head_of(model: nn.Module) -> _State:
    """The weights of a timm model's head, or heads."""
    heads = pretrained_cfg(model).get("classifier") or ()
    prefixes = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    return {k: v for k, v in model.state_dict().items() if k.startswith(prefixes)}


def _empty(config: ModelConfig) -> QuantModel:
    """The model of a config without memory for its weights."""
    try:
        with torch.device("meta"):
            return QuantModel(config)
    except PqvError:
        raise
    except Exception as error:  # whatever a damaged graph leads to
        sentence = first_line(error)
        raise PqvError(f"model config: the graph is damaged ({sentence})") from None


def _read_qat(path: Path) -> tuple[_State, ModelConfig]:
    if not _is_safetensors(path):
        content = _read_torch(path)
        if not _is_qat_dict(content):
            raise PqvError(
                "is no checkpoint of a quantized model, expected a dict with state_dict and config"
            )
        state, config = _tensors(content["state_dict"]), content["config"]
        if isinstance(config, Mapping) and ("vit" in config or "swin" in config):
            return upgrade(state, config)
        return state, ModelConfig.from_dict(config)
    state, metadata = _read_safetensors(path)
    if FORMAT not in metadata:
        raise PqvError(f"is no checkpoint of a quantized model: the metadata have no {FORMAT}")
    try:
        content = json.loads(metadata[FORMAT])
        version, config = content["version"], content["config"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PqvError(f"the metadata's {FORMAT} is not JSON with version and config") from None
    if version == 1:
        return upgrade(state, config)
    if version != VERSION:
        raise PqvError(f"is of version {version} of the format, expected {VERSION}")
    return state, ModelConfig.from_dict(config)


def _is_qat_dict(content: object) -> bool:
    return isinstance(content, Mapping) and set(content) == {"state_dict", "config"}


def _read_float(path: Path) -> Any:
    if not _is_safetensors(path):
        return _read_torch(path)
    state, metadata = _read_safetensors(path)
    if FORMAT in metadata:
        raise PqvError("is a checkpoint of a quantized model, expected float weights")
    return state


def _is_safetensors(path: Path) -> bool:
    if not path.is_file():
        raise PqvError(why_no_file(path))
    if path.suffix not in SUFFIXES:
        raise PqvError(f"ends in {path.suffix!r}, expected .safetensors, .pth or .pt")
    return path.suffix == ".safetensors"


def _read_safetensors(path: Path) -> tuple[_State, dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            # Copies: the file's pages may change, and training writes to the weights.
            state = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            return state, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise PqvError(f"is no readable safetensors file ({error})") from error


def _read_torch(path: Path, mapped: bool = False) -> Any:
    """What a torch file holds; a zip file's weights, if mapped, are read when they are used."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # about the pickle protocol
            # Options of a training program, as timm's: a class of attributes, which runs nothing.
            torch.serialization.safe_globals([argparse.Namespace]),
        ):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=mapped and _is_zip(path)
            )
    # A damaged or hostile pickle can fail in any way.
    except Exception as error:
        kind = re.search(r"GLOBAL (\S+) was not", str(error))
        what = f" ({kind[1]}): save model.state_dict() alone" if kind else ""
        raise PqvError(f"is damaged or holds something other than weights{what}") from error


def _is_zip(path: Path) -> bool:
    """As torch tells: what ends like one may be a file of before zip files."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _tensors(state: object) -> _State:
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise PqvError("the state dict holds something other than tensors by name")
    for name, tensor in state.items():
        if not _is_plain(tensor):
            raise PqvError(f"{name} is sparse, quantized, expanded or without values")
    return dict(state)


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor has an element in memory, and so in its file, for each of its values."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_meta:
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _check_state(state: _State, expected: Mapping[str, Tensor]) -> None:
    """Raise PqvError unless ``state`` has the expected keys, shapes, dtypes and finite values."""
    if missing := sorted(set(expected) - set(state)):
        raise PqvError(f"missing {_listed(missing)}")
    if extra := sorted(set(state) - set(expected)):
        raise PqvError(f"unknown {_listed(extra)}")
    for name, tensor in state.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise PqvError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}, "
                f"expected {wanted.dtype} {list(wanted.shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise PqvError(f"{name} has values that are not finite")


def _check_grids(model: QuantModel) -> None:
    """Raise PqvError naming a quantizer with exponents or ratios that its scheme has not."""
    for name, module in model.named_modules():
        if isinstance(module, ResidualQuantizer):
            low, high = module.exponent.aminmax()
            if low < 0 or high > module.max_exponent:
                raise PqvError(
                    f"{name}.exponent has exponents outside of [0, {module.max_exponent}]"
                )
        if isinstance(module, GroupedQuantizer) and not bool((module.ratio > 0).all()):
            raise PqvError(f"{name}.ratio has values that are not positive")


def _fits(state: _State, model: nn.Module) -> bool:
    """Whether parameters of the model, its head aside, that are in ``state`` have its shapes."""
    sized = dict(model.named_parameters())
    return all(
        state.get(k, sized[k]).shape == sized[k].shape for k in sized.keys() - _head_of(model)
    )


def _without_derived(state: _State, model: nn.Module) -> _State:
    """Drop buffers that ``model`` derives from its geometry; some versions of timm store them."""
    derived = {k: v for k, v in model.named_buffers() if k not in model.state_dict()}
    for name in derived.keys() & state.keys():
        if not torch.equal(state[name], derived[name]):
            raise PqvError(f"{name} is not what the geometry of the model gives")
    return {name: tensor for name, tensor in state.items() if name not in derived}


def _listed(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
