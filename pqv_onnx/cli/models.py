"""``pqv models``: which of timm's transformers can be converted, and why others cannot."""

from __future__ import annotations

import fnmatch
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.cli.options import (
    ImageSizeOption,
    JsonOption,
    check_json,
    console,
    image_size,
    write_json,
)
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.spec import QuantSpec

FAMILIES = (
    *("vit_*", "deit*", "flexivit*", "beit*", "eva*"),
    *("swin_*", "swinv2_*", "aimv2*", "naflexvit*"),
    *("hiera_*", "mixer_*", "gmixer_*", "gmlp_*", "resmlp_*"),
)
"""What is listed where no filter is given: transformers of the kind that is converted."""

_SHOWN_NAMES = 3
_NAMES_PER_PROCESS = 30
"""A process takes some seconds to begin, and a third of a second for a model."""
_INITIALISERS = {
    *("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "constant_"),
    *("erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_"),
}
_FACTORIES = {"empty", "zeros", "ones", "full", "tensor", "arange", "eye", "rand", "randn"}


@dataclass(frozen=True)
class Support:
    """What conversion says of models.

    Attributes:
        supported: names of timm, sorted.
        refused: a sentence for each other name.
    """

    supported: list[str]
    refused: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"supported": self.supported, "refused": self.refused}


def command(
    name_filter: Annotated[
        str | None,
        typer.Option("--filter", metavar="GLOB", help="Names of timm like this instead: 'deit*'."),
    ] = None,
    size: ImageSizeOption = None,
    json_file: JsonOption = None,
) -> None:
    """List timm's transformers that can be quantized, and why the others cannot.

    With a filter any models of timm are asked for. Each is built without memory for its weights,
    and without blocks that repeat those before them.

    Example: `pqv models --filter 'deit*' --json deit.json`
    """
    check_json(json_file)
    pixels = image_size(size)
    with status.working("importing timm"):
        names = model_names(name_filter)
    with Bars() as progress:
        task = progress.add_task("models", total=len(names))
        support = check_support(names, lambda: progress.advance(task), pixels)
    _show(support)
    write_json(json_file, support.to_dict())


def model_names(name_filter: str | None) -> list[str]:
    """The names of timm that match a glob; without one those in ``FAMILIES``.

    Raises:
        PqvError: there are none.
    """
    import timm

    globs = FAMILIES if name_filter is None else (name_filter,)
    names = timm.list_models()
    chosen = {name for glob in globs for name in fnmatch.filter(names, glob)}
    if not chosen:
        raise PqvError(f"--filter is {name_filter!r}, which none of timm's models matches")
    return sorted(chosen)


def check_support(
    names: Sequence[str],
    done: Callable[[], None] = lambda: None,
    size: tuple[int, int] | None = None,
) -> Support:
    """Ask conversion about each model, as timm makes it by default; many on all cores.

    Args:
        names: of timm.
        done: called after each.
        size: height and width of the images; by default what each model is made for.
    """
    workers = min(os.cpu_count() or 1, len(names) // _NAMES_PER_PROCESS)
    if workers < 2:
        return _collect(names, (_refusal(name, size) for name in names), done)
    with ProcessPoolExecutor(workers, get_context("spawn"), _use_one_thread) as pool:
        return _collect(names, pool.map(partial(_refusal, size=size), names, chunksize=4), done)


def _use_one_thread() -> None:
    """More would wait for each other, busily: there is a process for each core."""
    import torch

    torch.set_num_threads(1)


def _collect(
    names: Sequence[str], refusals: Iterable[str | None], done: Callable[[], None]
) -> Support:
    support = Support([], {})
    for name, refusal in zip(names, refusals, strict=True):
        if refusal is None:
            support.supported.append(name)
        else:
            support.refused[name] = refusal
        done()
    return support


def _refusal(name: str, size: tuple[int, int] | None) -> str | None:
    """Why conversion does not take a model; None if it does."""
    from pqv_onnx.qat.build import set_image_size
    from pqv_onnx.qat.convert import check
    from pqv_onnx.trace.repeats import drop_repeats

    logging.getLogger("timm").setLevel(logging.ERROR)  # weights that are missing do not matter
    try:
        model = _on_meta(name)
        if size is not None:
            set_image_size(model, size)
        drop_repeats(model)
        check(model, QuantSpec.preset("w4a4"))
    except PqvError as error:
        return str(error)
    return None


def _on_meta(name: str) -> Any:
    """The model without memory for its weights.

    What would initialise them is skipped: on the meta device it writes nothing, in most of the
    time. Rates of stochastic depth are read while the model is made, so that ``linspace`` is none
    of the functions that make what has no memory.
    """
    import timm
    from torch.overrides import TorchFunctionMode

    class Meta(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            called, kwargs = getattr(func, "__name__", ""), kwargs or {}
            if called in _INITIALISERS:
                target = args[0] if args else kwargs["tensor"]
                if target.is_meta:
                    return target
            elif called in _FACTORIES and kwargs.get("device") is None:
                kwargs["device"] = "meta"
            return func(*args, **kwargs)

    try:
        with Meta():
            return timm.create_model(name, pretrained=False)
    except (RuntimeError, NotImplementedError) as error:
        raise PqvError(f"timm cannot make it on the meta device: {first_line(error)}") from error


def _show(support: Support) -> None:
    table = Table("supported")
    for name in support.supported:
        table.add_row(name)
    if support.supported:
        console.print(table)
    if support.refused:
        console.print(_refusals(support.refused))
    total = len(support.supported) + len(support.refused)
    console.print(f"{len(support.supported)} of {total} can be converted")


def _refusals(refused: dict[str, str]) -> Table:
    """Reasons, the most frequent first, each with how many models it holds for, and some."""
    table = Table("models", "not supported because", "for example")
    for reason, count in Counter(refused.values()).most_common():
        names = [name for name, other in refused.items() if other == reason]
        shown = ", ".join(names[:_SHOWN_NAMES]) + (", ..." if count > _SHOWN_NAMES else "")
        table.add_row(str(count), reason, shown)
    return table
