"""Recipes: TOML files that say how a model is trained, as frozen dataclasses.

Imports no torch, so that a wrong key is found at once.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from typing import Any, Literal

from pqv_onnx.errors import PqvError
from pqv_onnx.files import read_text
from pqv_onnx.spec import PRESETS, QuantSpec
from pqv_onnx.tables import TableReader
from pqv_onnx.train.collection import find_recipe


@dataclass(frozen=True)
class Export:
    """How ``export/export.py`` exports the model; see ``pqv export``."""

    input: Literal["float", "uint8", "image"] = "float"
    layout: Literal["nhwc", "nchw"] = "nhwc"


@dataclass(frozen=True)
class Quantization:
    """What differs from the precision's preset of QuantSpec; an empty string: nothing.

    Attributes:
        attention: ``log2`` (4 bits) or ``uniform`` (8 bits).
        context: ``4``, ``7`` or ``8`` bits.
        gelu: ``grouped``, ``asymmetric`` or ``symmetric``, or ``4``, ``7`` or ``8`` bits.
        norm: ``4``, ``7`` or ``8`` bits.
        pre_gelu: ``asymmetric`` or ``per-tensor``.
        qkv: ``rotated`` or ``per-tensor``, or ``4`` or ``8`` bits.
        residual: ``rotated``, ``power-of-two`` (a ratio for each channel) or ``per-tensor``.
        weight_bits: 4, 7 or 8 by layer or pattern: ``{"blocks.*.mlp.fc2" = 8}``.
    """

    attention: str = ""
    context: str = ""
    gelu: str = ""
    norm: str = ""
    pre_gelu: str = ""
    qkv: str = ""
    residual: str = ""
    weight_bits: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Where the images come from.

    Attributes:
        dataset: timm's name: empty for folders of images by class, ``hfds/NAME`` (Hugging Face
            datasets), ``wds/NAME`` (WebDataset), ...; or a name of ``register_dataset``.
        train_split: split to train and to calibrate on.
        val_split: split to evaluate on.
        workers: loader processes of each training process; they do not change the result.
    """

    dataset: str = ""
    train_split: str = "train"
    val_split: str = "validation"
    workers: int = 8


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of training images; timm's transforms, mixup and cutmix.

    Attributes:
        enabled: whether images are augmented; else they are resized and cropped as in evaluation.
        scale: smallest and largest area of the random crop.
        ratio: smallest and largest aspect ratio of the random crop.
        hflip: probability of a horizontal flip.
        color_jitter: brightness, contrast, saturation; not with ``auto_augment``.
        auto_augment: timm's policy, such as ``rand-m9-mstd0.5-inc1``; empty for none.
        interpolation: ``random``, ``bilinear`` or ``bicubic``.
        random_erasing: probability.
        mixup: alpha, 0 for none.
        cutmix: alpha, 0 for none.
        mixup_prob: probability of either.
        label_smoothing: share of the label that goes to all classes.
    """

    enabled: bool = True
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 1.3333)
    hflip: float = 0.5
    color_jitter: float = 0.3
    auto_augment: str = ""
    interpolation: str = "bicubic"
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Optimizer:
    """One of timm's optimizers. Steps, norms, biases and tokens have no weight decay.

    Attributes:
        name: timm's name.
        lr: peak learning rate, for the whole ``batch_size``.
        weight_decay: of weight matrices.
        momentum: of optimizers that have it.
        clip_grad: largest norm of the gradient, 0 for any.
    """

    name: str = "adamw"
    lr: float = 2e-4
    weight_decay: float = 0.05
    momentum: float = 0.9
    clip_grad: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """One of timm's learning rate schedules, stepped after every update.

    Attributes:
        name: timm's name: ``cosine``, ``tanh``, ``poly``, ``step``.
        warmup_epochs: of linear warm-up.
        warmup_lr: where the warm-up begins.
        min_lr: where the schedule ends.
    """

    name: Literal["cosine", "tanh", "poly", "step"] = "cosine"
    warmup_epochs: int = 0
    warmup_lr: float = 1e-6
    min_lr: float = 1e-6


@dataclass(frozen=True)
class Distillation:
    """The float teacher's part in the loss.

    Attributes:
        kind: ``none``, ``soft`` (KL divergence of softened outputs) or ``hard`` (the teacher's
            best class as the label).
        weight: share of the teacher's loss; the labels have the rest.
        temperature: that both outputs are softened by.
        token: of a model with a distillation token: its head learns from the teacher alone, and
            the class token's from the labels alone; else their mean learns from both.
        teacher: timm's name; empty for the float model that is quantized.
    """

    kind: Literal["none", "soft", "hard"] = "none"
    weight: float = 1.0
    temperature: float = 1.0
    token: bool = True
    teacher: str = ""


@dataclass(frozen=True)
class Regularization:
    """Penalties of the loss, by their weights; 0 for none. See docs/quantization.md.

    Attributes:
        residual: of the residual stream's values beyond the range of their channel.
        oscillation: of weights' distance from the middle of their code's bin; the weight grows
            to this from 0.
    """

    residual: float = 0.0
    oscillation: float = 0.0


@dataclass(frozen=True)
class Train:
    """How the model is trained.

    Attributes:
        epochs: passes over the training images.
        max_steps: end after so many updates, 0 for no such limit.
        batch_size: images of one update, over all processes.
        accumulation: pieces that each process computes its part of the batch in.
        seed: of order, augmentation and mixup.
        mixed_precision: ``no``, ``bf16`` or ``fp16``.
        calibration_images: training images that the steps are initialised on.
        initialization: of the steps: ``search`` for the least squared error, ``lsq`` for LSQ's.
        rounding: when values are rounded to codes: ``during`` training, straight through; weights
            after it (``weights-after``), by reconstruction on the calibration images, and
            activations during it; or all ``after`` it, by a calibration like ``pqv calibrate``'s.
        rounding_steps: updates of each half block in that reconstruction.
        ema: decay of the weights' moving average, which then is what is evaluated and saved;
            0 for none.
        save_every: updates between two checkpoints within an epoch, 0 for none.
    """

    epochs: int = 1
    max_steps: int = 0
    batch_size: int = 256
    accumulation: int = 1
    seed: int = 0
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    calibration_images: int = 256
    initialization: Literal["search", "lsq"] = "search"
    rounding: Literal["during", "weights-after", "after"] = "during"
    rounding_steps: int = 200
    ema: float = 0.0
    save_every: int = 1000
    data: Data = field(default_factory=Data)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    distillation: Distillation = field(default_factory=Distillation)
    regularization: Regularization = field(default_factory=Regularization)


_POSITIVE = ("epochs", "batch_size", "accumulation", "calibration_images", "rounding_steps")
_SHARES = (
    "ema",
    "distillation.weight",
    *(f"augmentation.{n}" for n in ("hflip", "random_erasing", "mixup_prob", "label_smoothing")),
)
_NOT_NEGATIVE = (
    *("max_steps", "save_every", "seed", "data.workers"),
    *(f"augmentation.{name}" for name in ("color_jitter", "mixup", "cutmix")),
    *(f"optimizer.{name}" for name in ("weight_decay", "momentum", "clip_grad")),
    *(f"schedule.{name}" for name in ("warmup_epochs", "warmup_lr", "min_lr")),
    *("regularization.residual", "regularization.oscillation"),
)


@dataclass(frozen=True)
class Recipe:
    """A model at a precision: how it is trained and exported.

    Attributes:
        model: timm's name.
        precision: preset of QuantSpec.
        imports: Python modules to import first, for models or datasets that they register.
        quantization: what differs from the preset.
        export: options of the export.
        train: options of the training.
    """

    model: str
    precision: str
    imports: tuple[str, ...] = ()
    quantization: Quantization = field(default_factory=Quantization)
    export: Export = field(default_factory=Export)
    train: Train = field(default_factory=Train)

    def __post_init__(self) -> None:
        """Check the choices and ranges that can be checked without a model."""
        if self.precision not in PRESETS:
            raise PqvError(f"precision is {self.precision!r}, expected {' or '.join(PRESETS)}")
        try:
            self.spec  # noqa: B018 - checks the schemes
        except PqvError as error:
            raise PqvError(f"quantization: {error}") from error
        for names, low, high in (
            (_POSITIVE, 1, math.inf),
            (_NOT_NEGATIVE, 0, math.inf),
            (_SHARES, 0, 1),
        ):
            for name in names:
                _limit(f"train.{name}", attrgetter(name)(self.train), low, high)
        for name in ("optimizer.lr", "distillation.temperature"):
            if not (found := attrgetter(name)(self.train)) > 0:
                raise PqvError(f"train.{name} is {found}, expected above 0")
        for name in ("augmentation.scale", "augmentation.ratio"):
            low, high = attrgetter(name)(self.train)
            if not 0 < low <= high:
                raise PqvError(f"train.{name} is [{low}, {high}], expected 0 < smallest <= largest")
        if self.train.rounding == "after" and self.train.regularization.residual:
            raise PqvError(
                "train.regularization.residual is of values that are rounded, expected 0 with "
                "train.rounding = 'after'"
            )
        if self.train.rounding != "during" and self.train.regularization.oscillation:
            raise PqvError(
                "train.regularization.oscillation is of weights that are rounded, expected 0 "
                f"with train.rounding = {self.train.rounding!r}"
            )
        epochs, warmup = self.train.epochs, self.train.schedule.warmup_epochs
        if warmup >= epochs:
            raise PqvError(
                f"train.schedule.warmup_epochs is {warmup}, expected fewer than "
                f"train.epochs, {epochs}"
            )

    @property
    def spec(self) -> QuantSpec:
        """The preset with the changes of ``quantization``."""
        changes = asdict(self.quantization)
        weight_bits = changes.pop("weight_bits")
        schemes = {kind: scheme for kind, scheme in changes.items() if scheme}
        spec = QuantSpec.preset(self.precision).with_schemes(schemes)
        return replace(spec, weight_bits=weight_bits)


def load_recipe(path: str | os.PathLike[str], changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: the TOML file, or the name of a ready-made recipe.
        changes: ``key=value`` with dots in the key and a TOML value, over what the file says.

    Raises:
        PqvError: there is no such recipe, the file is missing or no TOML, or a key is unknown,
            missing or has a wrong value; the key is named.
    """
    source = find_recipe(path)
    try:
        tables = tomllib.loads(read_text(source))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PqvError(f"{source}: not TOML: {error}") from error
    for change in changes:
        _change(tables, change)
    try:
        return TableReader().read(Recipe, tables)
    except PqvError as error:
        raise PqvError(f"{source}: {error}") from error


def _change(tables: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise PqvError(f"{change!r} is no change of a recipe, expected KEY=VALUE")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text  # a string needs no quotes
    *path, last = key.strip().split(".")
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise PqvError(f"{key}: {name} is no table of the recipe")
    tables[last] = value


def _limit(name: str, found: float, low: float, high: float) -> None:
    if not low <= found <= high:
        upper = "" if high == math.inf else f" to {high}"
        raise PqvError(f"{name} is {found}, expected {low}{upper or ' or more'}")
