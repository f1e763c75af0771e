"""Writing down the torch functions that a model's forward calls."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.trace.refusals import refuse
from pqv_onnx.trace.values import BATCH, all_results, map_leaves, tree_leaves

_FACTORIES = {"empty", "zeros", "ones", "full", "rand", "randn"}


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the recording.

    Attributes:
        name: of the parameter or buffer; ``%1``, ``%2``, ... for what was computed.
        shape: sizes of the axes, for ``BATCH`` images.
        dtype: the type of the elements.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Recorded:
    """One call of a torch function.

    Attributes:
        function: as ``__torch_function__`` gets it.
        args: positional arguments, with values for tensors.
        kwargs: keyword arguments, likewise.
        outputs: the tensors among what it returned; what it wrote, if it wrote in place.
        path: of the innermost module in whose forward it was called.
        writes: whether it wrote its first argument in place.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    path: str
    writes: bool


@dataclass(frozen=True, eq=False)
class Recording:
    """The calls of one forward, in order, from ``image`` to ``outputs``.

    A value that no call computes and that is not the image is a parameter or buffer.
    """

    calls: tuple[Recorded, ...]
    image: Value
    outputs: tuple[Value, ...]


def record(model: nn.Module, image_size: tuple[int, int, int]) -> Recording:
    """Write down what ``model`` computes in evaluation mode.

    The forward is that of a copy on the meta device: nothing is computed, no weight is copied
    and the model itself is left alone, wherever it is.

    Args:
        model: maps images, float32 [B, C, H, W], to a tensor, or to a list of them.
        image_size: C, H and W.

    Returns:
        The calls for a batch of ``BATCH`` images.

    Raises:
        PqvError: the forward fails on the meta device, reads a tensor that is neither parameter
            nor buffer, writes in place to a tensor that is read through a view, or returns
            something else.
    """
    twin = _on_meta(model)
    recorder = _Recorder(twin)
    image = torch.empty(BATCH, *image_size, device="meta")
    image_value = recorder.know(image, "image")
    with torch.no_grad(), recorder:
        try:
            output = twin(image)
        except PqvError:
            raise
        except Exception as error:  # whatever the model's own code raises
            sentence = first_line(error)
            refuse(recorder.last_path, f"forward fails on the meta device: {sentence}")
    outputs = all_results(output)
    if not outputs or not all(isinstance(found, Tensor) for found in outputs):
        refuse("", f"gives a {type(output).__name__}", "a tensor or a list of them")
    return Recording(tuple(recorder.calls), image_value, tuple(map(recorder.look, outputs)))


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parameters and buffers are on the meta device."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        twin = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(twin, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo).eval()


class _Recorder(TorchFunctionMode):
    """Gives each tensor a value, and each call its values and its module's path."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.calls: list[Recorded] = []
        self._paths = [""]
        self._known: dict[int, tuple[Tensor, Value, int]] = {}  # holds tensors: ids stay unique
        self._count = 0
        self.last_path = ""
        named = [*model.named_parameters(), *model.named_buffers()]
        for name, tensor in named:
            self.know(tensor, name)
        for path, module in model.named_modules():
            module.register_forward_pre_hook(self._enter(path), prepend=True)
            module.register_forward_hook(self._leave, always_call=True)

    @property
    def path(self) -> str:
        """Of the module whose forward runs."""
        return self._paths[-1]

    def know(self, tensor: Tensor, name: str | None = None) -> Value:
        """A new value for a tensor: one that is new, or was written in place."""
        self._count += 1
        value = Value(name or f"%{self._count}", tuple(tensor.shape), tensor.dtype)
        self._known[id(tensor)] = (tensor, value, tensor._version)
        return value

    def look(self, leaf: Any) -> Any:
        """The value of a tensor; anything else as it is.

        Views share the count of writes, so that a view that is read after a write through another
        one is found by its count.
        """
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) not in self._known:
            shape = list(leaf.shape)
            refuse(self.path, f"reads a tensor {shape} that is neither parameter nor buffer")
        _, value, version = self._known[id(leaf)]
        if leaf._version != version:
            refuse(self.path, "reads a tensor that was written in place through a view of it")
        return value

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs, self.last_path = kwargs or {}, self.path
        values, named = map_leaves(self.look, (tuple(args), kwargs))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        before = [tensor._version for tensor in tensors]
        out = func(*args, **_without_memory(func, args, kwargs))
        written = [t for t, version in zip(tensors, before, strict=True) if t._version != version]
        if written and (not args or any(tensor is not args[0] for tensor in written)):
            # Also where views of one tensor are arguments: which is meant cannot be told.
            name = getattr(func, "__name__", str(func))
            refuse(self.path, f"{name} writes in place to more than its first argument")
        results = written or [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if results:
            outputs = tuple(self.know(tensor) for tensor in results[: 1 if written else None])
            writes = bool(written)
            self.calls.append(Recorded(func, values, named, outputs, self.path, writes))
        return out

    def _enter(self, path: str) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            self._paths.append(path)

        return enter

    def _leave(self, *_: Any) -> None:
        self._paths.pop()


def _without_memory(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The keyword arguments that make a tensor of the batch's size on the meta device, too."""
    if getattr(func, "__name__", "") not in _FACTORIES or kwargs.get("device") is not None:
        return kwargs
    sizes = [leaf for leaf in tree_leaves((args, kwargs)) if type(leaf) is int]
    return {**kwargs, "device": "meta"} if max(sizes, default=0) >= BATCH else kwargs
