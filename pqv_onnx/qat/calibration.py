"""Quantizing without training on labels: steps, residual exponents, and reconstruction."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import sub
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pqv_onnx.errors import PqvError
from pqv_onnx.qat.balancing import balance
from pqv_onnx.qat.bias_correction import mean_outputs
from pqv_onnx.qat.centering import center, find_shifts
from pqv_onnx.qat.device import device_of, on_accelerator
from pqv_onnx.qat.effects import output_effects
from pqv_onnx.qat.exact import Sums, full_precision, real_weights
from pqv_onnx.qat.grouping import group
from pqv_onnx.qat.handlers import Add
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.model import QuantModel, Segment
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.reconstruction import Reconstruction, error_weights, reconstruct
from pqv_onnx.qat.routes import Routes
from pqv_onnx.qat.step_search import Observed
from pqv_onnx.qat.unrotated import is_unrotated
from pqv_onnx.qat.widening import narrow, widen

_LARGEST_RATIO = 2.0
"""Residual step in / residual step out; the op's limit is 4, the rest is room for training."""
_CHUNK, _CHUNK_OF_ACCELERATORS = 8, 64
"""Images in one forward pass: activations of 8 in a base model take some 100 MB."""


@dataclass(frozen=True)
class Calibration:
    """How a model is quantized without labels.

    Attributes:
        initialization: of steps: ``search`` for the range or the least squared error, ``lsq`` for
            LSQ's own.
        centering: whether what all tokens have in common is taken off.
        balancing: whether heads that the spec says are rotated take the basis in which rounding
            them costs least.
        bias_correction: whether biases are chosen, so that every layer's mean output is the
            float model's.
        widening: whether steps of what functions give with 4 bits are widened by what they do to
            the segment's output.
        reconstruction: how segments are trained to give what the float model's give, if so.
    """

    initialization: str = "search"
    centering: bool = False
    balancing: bool = False
    bias_correction: bool = False
    widening: bool = False
    reconstruction: Reconstruction | None = None

    @classmethod
    def of(
        cls,
        *,
        quick: bool = False,
        steps: int | None = None,
        seed: int = 0,
        bias_correction: bool = True,
    ) -> Calibration:
        """What commands ask for: centering, biases, and reconstruction unless it is to be quick.

        Args:
            quick: whether nothing is reconstructed.
            steps: updates of each segment; by default those of ``Reconstruction``.
            seed: of the reconstruction.
            bias_correction: as the attribute.
        """
        changes = {} if steps is None else {"steps": steps}
        made = None if quick else Reconstruction(seed=seed, **changes)
        return cls(
            centering=True,
            balancing=True,
            bias_correction=bias_correction,
            widening=True,
            reconstruction=made,
        )


@dataclass(frozen=True)
class Watcher:
    """Who is told how a calibration goes, and what it goes on from; by default nobody, nothing.

    Attributes:
        progress: called with the share that is done, in [0, 1], and the segment's name.
        finished: segments that an earlier run has calibrated.
        state: the model's state dict after that.
        after: called with the number of finished segments after each.
    """

    progress: Callable[[float, str], None] = lambda share, name: None
    finished: int = 0
    state: Mapping[str, Tensor] | None = None
    after: Callable[[int], None] = lambda finished: None


@torch.no_grad()
def calibrate(
    model: QuantModel,
    images: Tensor | Iterable[Tensor],
    options: Calibration = Calibration(),  # noqa: B008 - frozen
    watcher: Watcher = Watcher(),  # noqa: B008 - frozen
) -> None:
    """Choose every step and residual exponent of ``model``, one quantizer after the other.

    Each quantizer sees what the calibrated layers before it produce for all images. A few
    hundred images are plenty.

    The model is run segment by segment (``QuantModel.segments``), a few images at a time, up to
    the first quantizer without a step; a segment is run again for each of its quantizers. So
    memory holds the images, two tensors between segments for each of them, and the
    activations of ``_CHUNK`` images in one segment. How ``images`` are split into batches does
    not change a bit of the result. All that is done on the machine's accelerator, if there is
    one, where sums are rounded otherwise.

    Args:
        model: a fake-quantized model; its quantization state is overwritten, and with any option
            but the first its weights or biases are, too. A GELU's channels are sorted if its spec
            says ``grouped``.
        images: normalised images, float [B, C, H, W], or batches of them.
        options: how.
        watcher: whom to tell.

    Raises:
        PqvError: there are no images, their shape is wrong, a tensor is not finite, or the model is
            unrotated.
    """
    routes = Routes(model.config.backbone.graph, model.handlers)
    shifts = find_shifts(routes) if options.centering else []
    mixes_heads = options.balancing and model.config.spec.qkv.scheme == "rotated"
    attentions = list(routes.heads()) if mixes_heads else []
    activations = list(routes.activations())
    before = _additions(model)
    widens = options.widening and any(narrow(model.modules()))
    weighs = widens or options.reconstruction is not None

    def prepare(part: _Part) -> None:
        center(part.segment, shifts, part.floats)
        balance(part.segment, attentions, part.floats)
        group(part.segment, activations, part.floats)
        _choose_steps(part.segment, part.inputs, part.floats, before, options)
        if widens:
            widen(part.segment, part.inputs, part.targets, part.weights)

    _by_segments(model, images, full_precision, prepare, options.reconstruction, watcher, weighs)


@torch.no_grad()
def round_weights(
    model: QuantModel,
    images: Tensor | Iterable[Tensor],
    options: Reconstruction = Reconstruction(),  # noqa: B008 - frozen
    watcher: Watcher = Watcher(),  # noqa: B008 - frozen
    initialization: str = "search",
) -> None:
    """Find codes for the weights of ``model``, which was trained in ``real_weights``.

    The weights' steps are chosen anew, and each segment is trained to give what it gave with the
    weights as they were (GPLQ, 2025: activations first, weights after).

    Args:
        model: a calibrated model; it is changed in place.
        images: as of ``calibrate``.
        options: how segments are trained.
        watcher: whom to tell.
        initialization: of the weights' steps, as of ``Calibration``.

    Raises:
        PqvError: there are no images, their shape is wrong, a tensor is not finite, or the model is
            unrotated.
    """

    def prepare(part: _Part) -> None:
        for module in part.segment.submodules():
            if isinstance(module, QuantLinear):
                module.calibrate(initialization)

    _by_segments(model, images, real_weights, prepare, options, watcher)


@dataclass(frozen=True)
class _Part:
    """A segment, and what surrounds it for all images, in chunks.

    Attributes:
        segment: of the model.
        inputs: what the segments before it give.
        floats: what the reference's give.
        targets: what the reference's segment gives.
        effects: how much the model's outputs depend on each element of that, if errors count by it.
    """

    segment: Segment
    inputs: list[Tensor]
    floats: list[Tensor]
    targets: list[Tensor]
    effects: Tensor | None

    @cached_property
    def weights(self) -> Tensor:
        """What the squared error of each element of the output counts."""
        assert self.effects is not None
        return error_weights(torch.cat(self.targets), self.effects)

    def reconstruct(self, options: Reconstruction, told: Callable[[float], None]) -> None:
        """Train the segment to give the targets."""
        x, y, target = map(torch.cat, (self.inputs, self.floats, self.targets))
        reconstruct(self.segment, x, y, target, self.weights, options, told)


def _by_segments(
    model: QuantModel,
    images: Tensor | Iterable[Tensor],
    reference: Callable[[], AbstractContextManager[None]],
    prepare: Callable[[_Part], None],
    options: Reconstruction | None,
    watcher: Watcher,
    weighs: bool = True,
) -> None:
    """Prepare, and reconstruct if so, one segment after the other.

    What ``model`` gives in ``reference`` is the target; ``weighs``: whether errors are weighted.
    """
    if is_unrotated(model):  # what is written to a rotated weight is lost
        raise PqvError("the model is unrotated for training: calibrate it before it is unrotated")
    with on_accelerator(model):
        inputs = floats = _chunks(model, images)
        original = copy.deepcopy(model)
        watcher.progress(0.0, "")
        with reference():
            effects = output_effects(original, inputs) if weighs else None
        if watcher.state is not None:
            model.load_state_dict(watcher.state)
        segments = model.segments()
        for index, (segment, exact) in enumerate(zip(segments, original.segments(), strict=True)):
            with reference():
                targets = [exact(chunk) for chunk in floats]
            if index >= watcher.finished:
                share = 1 / len(segments)
                told = partial(_tell, watcher, segment.name, index * share, share)
                told(0.0)
                effect = None if effects is None else effects[index]
                part = _Part(segment, inputs, floats, targets, effect)
                prepare(part)
                if options is not None:
                    part.reconstruct(options, told)
                watcher.after(index + 1)
            inputs, floats = [segment(chunk) for chunk in inputs], targets
        watcher.progress(1.0, "")
    check_calibrated(model)


def _tell(watcher: Watcher, name: str, done: float, share: float, part: float) -> None:
    watcher.progress(done + share * part, name)


def check_calibrated(model: QuantModel) -> None:
    """Raise PqvError naming a quantizer whose step was never set, or was lost in training."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            step = module.step
            if not bool(((step > 0) & torch.isfinite(step)).all()):
                raise PqvError(f"{name} has no positive step: calibrate the model first")


def _chunks(model: QuantModel, images: Tensor | Iterable[Tensor]) -> list[Tensor]:
    batches = [images] if isinstance(images, Tensor) else list(images)
    backbone = model.config.backbone
    expected = (backbone.in_chans, *backbone.img_size)
    for batch in batches:
        if not isinstance(batch, Tensor) or batch.dtype != torch.float32:
            found = batch.dtype if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
            raise PqvError(
                f"calibration: images are {found}, expected normalised ones as a torch.float32 "
                "tensor, or batches of them"
            )
        if tuple(batch.shape[1:]) != expected:
            raise PqvError(
                f"calibration: images have shape {list(batch.shape)}, expected [B, "
                f"{', '.join(map(str, expected))}]"
            )
    if not sum(map(len, batches)):
        raise PqvError("calibration: found no images, expected at least one")
    data = torch.cat(batches)
    device = device_of(model)
    chunk = _CHUNK if device.type == "cpu" else _CHUNK_OF_ACCELERATORS
    return list(data.to(device).split(chunk))


def _choose_steps(
    segment: Segment,
    chunks: list[Tensor],
    floats: list[Tensor],
    before: Mapping[Any, list[Add]],
    options: Calibration,
) -> None:
    """Choose the steps, and the biases if they are to be, of one segment.

    Passes stop at the first quantizer without a step, or behind the first layer whose bias is to be
    chosen, until all images were seen there. A bias is chosen before what depends on it.
    """
    means = mean_outputs(segment, floats) if options.bias_correction else {}
    biases = {linear: _bias(linear).clone() for linear in means}
    places: dict[nn.Module, RemovableHandle] = {}
    try:
        for module in segment.submodules():
            if isinstance(module, QuantLinear):
                module.calibrate(options.initialization)
            if module in means:
                _bias(module).zero_()
                places[module] = module.register_forward_hook(_stop_behind)
            elif isinstance(module, Quantizer) and not isinstance(module, WeightQuantizer):
                places[module] = module.register_forward_pre_hook(_stop_before)
        while found := _first_stop(segment, chunks):
            module, seen = found
            places.pop(module).remove()
            if isinstance(module, Quantizer):
                module.choose(Observed.join(seen), options.initialization)
                if steps := [add.largest_step() for add in before[module]]:
                    _limit_ratio(reduce(torch.maximum, steps), module)
            else:
                biases[module] = reduce(sub, seen, means[module])
                _bias(module).copy_(biases[module])
    finally:
        for handle in places.values():
            handle.remove()
        for linear, bias in biases.items():
            _bias(linear).copy_(bias)  # what it was, if none was found


class _Stop(Exception):
    """A forward pass has come to a module, its first argument; the other is what it gets."""


def _stop_before(quantizer: nn.Module, inputs: tuple[Any, ...]) -> None:
    raise _Stop(quantizer, inputs[0])


def _stop_behind(linear: nn.Module, _inputs: Any, out: Sums) -> None:
    raise _Stop(linear, out.real)


def _bias(linear: Any) -> Tensor:
    bias: Tensor = linear.bias
    return bias


def _first_stop(segment: Segment, chunks: list[Tensor]) -> tuple[Any, list[Any]] | None:
    """Where passes stop, if they do, and what has to be known of each chunk there."""
    module, seen, images = None, [], sum(map(len, chunks))
    for chunk in chunks:
        try:
            segment(chunk)
            return None
        except _Stop as stop:
            module, x = stop.args
        share = len(chunk) / images
        if isinstance(module, Quantizer):
            seen.append(module.observe(x, share))
        else:
            seen.append(x.reshape(-1, x.shape[-1]).mean(0) * share)
    return module, seen


def _additions(model: QuantModel) -> Mapping[Any, list[Add]]:
    """The sums that residual quantizers narrow, by themselves or side by side with others."""
    found: dict[Any, list[Add]] = defaultdict(list)
    readers = model.config.backbone.graph.readers
    for node, handler in model.handlers.items():
        if isinstance(handler, Add):
            own = [node] if handler.quantizer is not None else readers[node]
            for behind in own:
                found[getattr(model.handlers[behind], "quantizer", None)].append(handler)
    return found


def _limit_ratio(before: Tensor, after: Any) -> None:
    """Coarsen steps that fall too fast from those ``before``, [channels], for the op's ratio."""
    smallest = before / _LARGEST_RATIO
    exponent = (smallest / after.step).log2().ceil().clamp(0, after.max_exponent)
    after.exponent.copy_(torch.maximum(after.exponent, exponent.to(torch.int8)))
    after.set_step(torch.maximum(after.step, (smallest / 2.0**after.exponent).amax()))
