"""A pretended accelerator: tensors of another device, computed on the CPU.

Whatever mixes the two devices fails as it would on a real one: an op of tensors on both, or NumPy
of a tensor that is not on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

from pqv_onnx.qat import device

DEVICE = torch.device("lazy", 0)
"""Of a backend that torch knows by name and this machine lacks."""
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default, _aten._to_copy.default}


class _There(Tensor):
    """A tensor that says it is on the accelerator; ``here`` holds its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _There:
        made: _There = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    there = any(isinstance(tensor, _There) for tensor in tensors)
    if there and func not in _COPIES:
        for tensor in tensors:
            # A number on the CPU may meet tensors anywhere, and CPU indices are copied.
            if not isinstance(tensor, _There) and tensor.ndim and func != _aten.index.Tensor:
                raise RuntimeError(f"{func}: tensors on {DEVICE} and on the CPU")
    wanted = kwargs.get("device")
    if wanted is not None:
        there = torch.device(wanted).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    bare_args, bare_kwargs = tree_map_only(_There, lambda tensor: tensor.here, (args, kwargs))
    found = func(*bare_args, **bare_kwargs)
    if func is _aten.copy_.default:
        return args[0]
    if not there:
        return found
    found = tree_map_only(Tensor, _There, found)
    return return_and_correct_aliasing(func, args, kwargs, found)


def _moved(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda data, *, device="cpu", **options: make(data, **options).to(device)


@contextmanager
def pretended_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The machine has this accelerator meanwhile."""
    monkeypatch.setattr(device, "accelerator", lambda: DEVICE)
    # It has no mixed precision that could be switched off.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    for name in ("tensor", "as_tensor"):  # modes do not see these
        monkeypatch.setattr(torch, name, _moved(getattr(torch, name)))
    with _Mode():
        yield DEVICE
