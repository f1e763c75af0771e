"""A model without the blocks that repeat what those before them compute."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

_KEPT = 2
"""How often a period of blocks stays: what stands before, between and behind them is then there."""
_RATE = "drop_prob"
"""Of stochastic depth, which matters in training alone and differs from block to block."""
_OF_ALL = set(vars(nn.Module())) - {"_parameters", "_buffers", "_modules"}
"""Attributes of every module; hooks among them."""


def drop_repeats(model: nn.Module) -> None:
    """Take blocks out of ``model`` whose period has come twice already; others keep their names.

    Modules are equal if their classes, attributes and shapes of tensors are: they compute the same
    of inputs of the same shape, and whatever is refused of one was refused of the one before.
    """
    for module in list(model.modules()):
        if isinstance(module, nn.Sequential | nn.ModuleList):
            names = list(module._modules)
            keys = [_key(child) for child in module.children()]
            for place in _repeated(keys):
                del module._modules[names[place]]


def _repeated(keys: list[Hashable]) -> list[int]:
    """Places at which a period of keys comes for more than the second time."""
    places = list(range(len(keys)))
    for period in range(1, len(keys) // (_KEPT + 1) + 1):
        start = 0
        while start + (_KEPT + 1) * period <= len(places):
            span = [keys[i] for i in places[start : start + (_KEPT + 1) * period]]
            if span == span[:period] * (_KEPT + 1):
                del places[start + _KEPT * period : start + (_KEPT + 1) * period]
            else:
                start += 1
    return sorted(set(range(len(keys))) - set(places))


def _key(value: Any) -> Hashable:
    """Equal for values that make no difference; an object that is not known equals itself alone."""
    if isinstance(value, nn.Module):
        own = {k: v for k, v in vars(value).items() if k != _RATE and (v or k not in _OF_ALL)}
        return type(value), _key(own)
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, isinstance(value, nn.Parameter)
    if isinstance(value, dict):
        return tuple((name, _key(part)) for name, part in value.items())
    if isinstance(value, list | tuple | set):
        return type(value), tuple(map(_key, value))
    if isinstance(value, partial):
        return value.func, _key(value.args), _key(value.keywords)
    plain = isinstance(value, int | float | str | torch.dtype | torch.device) or value is None
    return (type(value), value) if plain else id(value)
