"""The training loop, on accelerate: one process or many, resumable to the same result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from timm.data import Mixup
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from pqv_onnx.checkpoint import save_qat
from pqv_onnx.errors import PqvError, first_line
from pqv_onnx.qat import (
    Calibration,
    QuantModel,
    Reconstruction,
    Watcher,
    calibrate,
    full_precision,
    real_weights,
    round_weights,
)
from pqv_onnx.qat.convert import with_spec
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.unrotated import rotated_state, unrotate
from pqv_onnx.train.calibration import read_images
from pqv_onnx.train.data import (
    Batch,
    Share,
    Split,
    TrainData,
    eval_batches,
    seed_everything,
)
from pqv_onnx.train.evaluate import Accuracy, evaluate, torch_subject
from pqv_onnx.train.log import write_log
from pqv_onnx.train.loss import Criterion
from pqv_onnx.train.models import float_input
from pqv_onnx.train.optimizer import make_optimizer, make_scheduler
from pqv_onnx.train.recipe import Recipe
from pqv_onnx.train.regularization import Regularizer
from pqv_onnx.train.state import Progress, load_state, save_state

LAST, BEST, STATE = "last.safetensors", "best.safetensors", "state.pt"


@dataclass(frozen=True)
class _Rounding:
    """What a recipe leaves to be rounded after training.

    Attributes:
        left: quantizers of this kind, if any.
        training: the context of the updates.
    """

    left: type[Quantizer] | None
    training: Callable[[], AbstractContextManager[None]]

    @classmethod
    def of(cls, name: str) -> _Rounding:
        """By ``train.rounding``."""
        return {
            "during": cls(None, nullcontext),
            "weights-after": cls(WeightQuantizer, real_weights),
            "after": cls(Quantizer, full_precision),
        }[name]


@dataclass(frozen=True)
class Report:
    """Who is told how a run goes; by default nobody.

    Attributes:
        step: called after an update with the updates done, all updates, and the loss.
        epoch: called after an epoch with its row of the log.
        rounding: called with the share that is done of the rounding after training.
    """

    step: Callable[[int, int, float], None] = lambda done, total, loss: None
    epoch: Callable[[dict[str, float]], None] = lambda row: None
    rounding: Callable[[float], None] = lambda share: None


def make_accelerator(mixed_precision: str = "no") -> Accelerator:
    """This process's part in the group that ``accelerate launch`` or ``torchrun`` made, if any.

    Raises:
        PqvError: the group cannot be joined, or the device lacks ``mixed_precision``.
    """
    try:
        # Told so, accelerate joins a group of CPU processes, too, instead of each being alone.
        return Accelerator(
            mixed_precision=mixed_precision, cpu=not torch.accelerator.is_available()
        )
    except (ValueError, RuntimeError) as error:
        raise PqvError(f"accelerate: {first_line(error)}") from error


def share_of(accelerator: Accelerator) -> Share:
    """Which part of the images this process takes."""
    return Share(accelerator.process_index, accelerator.num_processes)


def add_over(accelerator: Accelerator) -> Callable[[Tensor], Tensor]:
    """A function that sums a tensor over all processes."""

    def add(counts: Tensor) -> Tensor:
        total: Tensor = accelerator.reduce(counts.to(accelerator.device), "sum")
        return total.cpu()

    return add


class Trainer:
    """A run: trains a quantized model by a recipe and leaves its files in a folder.

    ``last.safetensors`` and ``best.safetensors`` are QAT checkpoints, of the moving average
    where the recipe has one; ``state.pt`` is what a resumed run needs; ``log.csv`` and
    ``curves.png`` have a row and a point per epoch. Where values are rounded after training,
    epochs are evaluated with these as they are, and there are no checkpoints before the end,
    when both are the rounded model.

    Attributes:
        rounded: the model after that, which `snapshot` copies then.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: QuantModel,
        teacher: nn.Module | None,
        root: str | None,
        output: Path,
        accelerator: Accelerator,
        report: Report = Report(),  # noqa: B008 - frozen
    ) -> None:
        """Prepare a run.

        Args:
            recipe: how to train.
            model: what `pqv_onnx.train.calibration.student` makes, or another calibrated model; it
                is trained in place, and unrotated (`qat/unrotated.py`).
            teacher: the float teacher, if the recipe wants one.
            root: folder of the data.
            output: folder of the files; there when `run` is called.
            accelerator: see ``make_accelerator``.
            report: who is told how it goes.

        Raises:
            PqvError: the data do not fit the recipe or the model, or the teacher wants other
                images than the model.
        """
        self.recipe, self.accelerator, self.report = recipe, accelerator, report
        self.root, self.output = root, output
        train, device = recipe.train, accelerator.device
        self.preprocessing = model.config.input
        self.classes: int = model.config.backbone.num_classes
        if teacher is not None:
            _check_teacher(teacher, model)
            teacher = teacher.eval().requires_grad_(False).to(device)
        self.data = TrainData(
            self._split(train.data.train_split),
            self.preprocessing,
            train.augmentation,
            self.classes,
            batch_size=train.batch_size,
            accumulation=train.accumulation,
            seed=train.seed,
            share=share_of(accelerator),
        )
        self.mixup = self._make_mixup()
        if teacher is not None and train.distillation.token and model.train_heads_apart():
            _check_share(train.distillation.weight)
        self.criterion = Criterion(train.distillation, teacher, train.augmentation.label_smoothing)
        # What a checkpoint that the run starts from had is not the run's.
        model.config = replace(model.config, accuracy=None)
        self.model = model.to(device)
        # Processes that calibrated on parts of a stream of their own have other steps.
        broadcast(dict(model.state_dict()))
        unrotate(model)
        self.rounding = _Rounding.of(train.rounding)
        self.rounded: QuantModel | None = None
        _freeze_steps(model, self.rounding.left)
        self.ema = ModelEmaV3(model, train.ema, use_warmup=True) if train.ema else None
        self.regularizer = Regularizer(train.regularization, model)
        optimizer = make_optimizer(model, train.optimizer)
        self.scheduler = make_scheduler(optimizer, train, self.data.steps_per_epoch)
        self.wrapped, self.optimizer = accelerator.prepare(model, optimizer)
        self.progress = Progress(self.data.images)
        self._validation()  # fails now if it cannot be opened, not after an epoch

    def _split(self, name: str) -> Split:
        data = self.recipe.train.data
        return Split(data.dataset, self.root, name, data.workers)

    def _make_mixup(self) -> Mixup | None:
        augmentation = self.recipe.train.augmentation
        if not (augmentation.mixup or augmentation.cutmix):
            return None
        if self.data.piece % 2:
            raise PqvError(
                f"mixup and cutmix need an even number of images, found {self.data.piece} per "
                "process and piece of a batch"
            )
        return Mixup(
            mixup_alpha=augmentation.mixup,
            cutmix_alpha=augmentation.cutmix,
            prob=augmentation.mixup_prob,
            label_smoothing=augmentation.label_smoothing,
            num_classes=self.classes,
        )

    def resume(self) -> None:
        """Go on where the run in the output folder stopped.

        Raises:
            PqvError: there is none, or it had another recipe or other images.
        """
        self.progress, parts = load_state(self.output / STATE, self.recipe)
        if self.progress.images != self.data.images:
            raise PqvError(
                f"{self.output / STATE}: the run has {self.progress.images} training images, "
                f"found {self.data.images}"
            )
        try:
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict(parts["optimizer"])
            if self.ema is not None:
                self.ema.module.load_state_dict(parts["ema"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(parts["scaler"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise PqvError(f"{self.output / STATE}: does not fit the model: {error}") from error

    @property
    def _whole_run(self) -> int:
        """Updates of all epochs."""
        return self.recipe.train.epochs * self.data.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Updates of the run, which ``max_steps`` may end before all epochs are over."""
        limit = self.recipe.train.max_steps
        return min(self._whole_run, limit) if limit else self._whole_run

    def run(self) -> Accuracy:
        """Train to the end of the recipe, or to its ``max_steps``.

        Returns:
            The accuracy of the trained model.

        Raises:
            PqvError: an image cannot be read, the loss is not finite, or a file cannot be
                written; the last checkpoint that was written is whole.
        """
        with self.rounding.training():
            finished = self.progress.step >= self.total_steps and not self._unevaluated
            if not (self.rounding.left and finished):
                result = self._train()
        return self._round() if self.rounding.left else result

    def _train(self) -> Accuracy:
        """All epochs."""
        progress, per_epoch = self.progress, self.data.steps_per_epoch
        total, save_every = self.total_steps, self.recipe.train.save_every
        if self._unevaluated:
            result = self._evaluate_epoch(progress.step // per_epoch - 1, whole=True)
        elif progress.step >= total:
            result = self._evaluate(self.snapshot())
        while progress.step < total:
            epoch = progress.step // per_epoch
            end = min((epoch + 1) * per_epoch, total)
            self.wrapped.train()
            for pieces in self.data.epoch(epoch, progress.step % per_epoch):
                self._update(pieces, epoch)
                self.report.step(progress.step, total, progress.loss_sum / self._epoch_steps)
                if progress.step == end:
                    break
                if save_every and not progress.step % save_every:
                    self._save(self.snapshot(), LAST)
            self._save(self.snapshot(), LAST)  # an image to evaluate on may be bad
            result = self._evaluate_epoch(epoch, whole=end == (epoch + 1) * per_epoch)
        return result

    @property
    def _unevaluated(self) -> bool:
        """Whether a run was stopped behind the last update of an epoch."""
        return len(self.progress.history) < self.progress.step // self.data.steps_per_epoch

    @property
    def _epoch_steps(self) -> int:
        """Updates of the current epoch so far; all of it at its end."""
        return (self.progress.step - 1) % self.data.steps_per_epoch + 1

    def _update(self, pieces: list[Batch], epoch: int) -> None:
        """One update of the weights; the loss is the mean over pieces and processes."""
        accelerator, options = self.accelerator, self.recipe.train.optimizer
        self.scheduler.step_update(self.progress.step)
        total = torch.zeros((), device=accelerator.device)
        for index, (images, labels) in enumerate(pieces):
            with self._sync(last=index == len(pieces) - 1):
                loss = self._loss(images, labels, (self.progress.step, index))
                accelerator.backward(loss / len(pieces))
            total += loss.detach().float() / len(pieces)
        mean = float(accelerator.reduce(total, "mean"))
        if not math.isfinite(mean):
            raise PqvError(
                f"the loss is {mean} at step {self.progress.step + 1}, epoch {epoch + 1}: "
                "lower train.optimizer.lr; the last checkpoint is kept"
            )
        if options.clip_grad:
            accelerator.clip_grad_norm_(self.wrapped.parameters(), options.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.loss_sum += mean
        if self.ema is not None:
            self.ema.update(self.model, self.progress.step)

    def _sync(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients go between processes with the last piece of a batch only."""
        return nullcontext() if last else self.accelerator.no_sync(self.wrapped)

    def _loss(self, images: Tensor, labels: Tensor, key: tuple[int, int]) -> Tensor:
        device = self.accelerator.device
        images, targets = images.to(device), labels.to(device)
        if self.mixup is not None:
            seed_everything(self.recipe.train.seed, *key, self.accelerator.process_index)
            images, targets = self.mixup(images, targets)
        try:
            logits = self.wrapped(images)
        except PqvError as error:  # a step that has fallen to 0
            raise PqvError(
                f"training diverged before step {self.progress.step + 1}: lower "
                "train.optimizer.lr; the last checkpoint is kept"
            ) from error
        loss = self.criterion(logits, targets, images, self.accelerator.autocast())
        return loss + self.regularizer(self.progress.step / self._whole_run)

    def _evaluate_epoch(self, epoch: int, whole: bool) -> Accuracy:
        """Evaluate, log and save; of an epoch cut short, the state goes on inside of it."""
        progress, snapshot = self.progress, self.snapshot()
        result = self._evaluate(snapshot)
        row = {
            "epoch": epoch + 1,
            "step": progress.step,
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "loss": progress.loss_sum / self._epoch_steps,
            "top1": result.top1,
            "top5": result.top5,
        }
        better = result.top1 > progress.best
        history = [*progress.history, row]
        if whole:
            progress.history, progress.loss_sum = history, 0.0
            progress.best = max(progress.best, result.top1)
        snapshot.config = replace(snapshot.config, accuracy=result.top1 / 100)
        self._save(snapshot, LAST, *([BEST] if better else []), history=history)
        self.report.epoch(row)
        return result

    def _round(self) -> Accuracy:
        """Give what was not rounded in training codes, evaluate and save."""
        train, model = self.recipe.train, self.snapshot()
        images = read_images(
            model.config,
            self._split(train.data.train_split),
            train.calibration_images,
            seed=train.seed,
        )
        watcher = Watcher(lambda share, _: self.report.rounding(share))
        if self.rounding.left == Quantizer:
            model = with_spec(model, self.recipe.spec)
            how = Calibration.of(seed=train.seed, steps=train.rounding_steps)
            how = replace(how, initialization=train.initialization)
            calibrate(model, images, how, watcher)
        else:
            options = Reconstruction(steps=train.rounding_steps, seed=train.seed)
            round_weights(model, images, options, watcher, train.initialization)
        broadcast(dict(model.state_dict()))
        self.rounded = model
        result = self._evaluate(model)
        model.config = replace(model.config, accuracy=result.top1 / 100)
        self._save(model, LAST, BEST)
        return result

    def _validation(self) -> Iterator[Batch]:
        """This process's images to evaluate on."""
        batches, _ = eval_batches(
            self._split(self.recipe.train.data.val_split),
            self.preprocessing,
            self.classes,
            max(self.data.piece, 1),
            share=share_of(self.accelerator),
        )
        return batches

    def _evaluate(self, model: nn.Module) -> Accuracy:
        device = self.accelerator.device
        shared = (self.classes, self.preprocessing, device)
        subject = torch_subject(self.recipe.model, "fake-quantized", model, *shared)
        return evaluate([subject], self._validation(), add=add_over(self.accelerator))[0]

    def snapshot(self) -> QuantModel:
        """A copy of the model as it is saved: the moving average, if there is one."""
        source = self.rounded or (self.model if self.ema is None else self.ema.module)
        copy = QuantModel(source.config)
        copy.load_state_dict(rotated_state(source))
        return copy.to(self.accelerator.device).eval()

    def _save(
        self, snapshot: QuantModel, *names: str, history: Sequence[dict[str, float]] = ()
    ) -> None:
        """Write checkpoints, the log and, last, the state: a run killed before goes on without."""
        if not self.accelerator.is_main_process:
            return
        if not all(bool(torch.isfinite(value).all()) for value in _trained(self.model)):
            raise PqvError(
                f"a weight is not finite after step {self.progress.step}: lower "
                "train.optimizer.lr; the last checkpoint is kept"
            )
        parts: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.ema is not None:
            parts["ema"] = self.ema.module.state_dict()
        if self.accelerator.scaler is not None:
            parts["scaler"] = self.accelerator.scaler.state_dict()
        # What is not rounded yet is no model to run.
        for name in () if self.rounding.left and self.rounded is None else names:
            save_qat(self.output / name, snapshot)
        if history:
            write_log(self.output, history)
        save_state(self.output / STATE, self.recipe, self.progress, parts)


def _freeze_steps(model: nn.Module, left: type[Quantizer] | None) -> None:
    """Leave steps untrained that get no gradient, which processes would wait for."""
    for module in model.modules():
        if left is not None and isinstance(module, left):
            module.requires_grad_(False)


def _trained(model: nn.Module) -> Iterator[Tensor]:
    return (value for value in model.parameters() if value.requires_grad)


def _check_share(weight: float) -> None:
    """Refuse a loss that one of two heads would learn nothing from."""
    if not 0 < weight < 1:
        raise PqvError(
            f"train.distillation.weight is {weight}: of the model's two heads only one would "
            "learn, expected a value between 0 and 1, or train.distillation.token = false"
        )


def _check_teacher(teacher: nn.Module, model: QuantModel) -> None:
    wanted, found = model.config.input, float_input(teacher)
    for name in ("channels", "height", "width", "mean", "std"):
        if getattr(wanted, name) != getattr(found, name):
            raise PqvError(
                f"the teacher wants images of {name} {getattr(found, name)}, "
                f"the model {getattr(wanted, name)}"
            )
    if (classes := getattr(teacher, "num_classes", 0)) != model.config.backbone.num_classes:
        raise PqvError(
            f"the teacher has {classes} classes, the model {model.config.backbone.num_classes}"
        )
