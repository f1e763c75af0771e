"""A training loop for small data that fits in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from pqv_onnx.cli.progress import Bars
from pqv_onnx.demo.data import Split, augment, normalize
from pqv_onnx.qat.device import device_of, on_accelerator
from pqv_onnx.qat.unrotated import unrotated


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train, and by which of timm's optimizers."""

    epochs: int
    learning_rate: float
    warmup_epochs: int = 2
    weight_decay: float = 0.05
    batch_size: int = 64
    label_smoothing: float = 0.1
    optimizer: str = "adamw"


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """The demo's training input: uint8 digits [n, 1, h, w], augmented, then as float."""
    return normalize(augment(images, generator))


def fit(
    model: nn.Module,
    data: Split,
    schedule: Schedule,
    *,
    seed: int,
    title: str,
    teacher: nn.Module | None = None,
    prepare: Callable[[Tensor, torch.Generator], Tensor] = augmented,
) -> None:
    """Train ``model`` in place with a cosine learning rate.

    Args:
        model: float images [n, 1, h, w] to logits [n, classes].
        data: the training images.
        schedule: epochs, learning rates and the like.
        seed: of the order of the images and of the augmentation.
        title: shown beside the progress bar.
        teacher: if given, the loss is the distance to its soft labels, not to the labels.
        prepare: uint8 images of a batch to the input of the model, with random changes.
    """
    generator = torch.Generator().manual_seed(seed)
    models = [model] if teacher is None else [model, teacher]
    with on_accelerator(*models), unrotated(model), Bars() as progress:
        optimizer = create_optimizer_v2(
            _parameter_groups(model, schedule), schedule.optimizer, lr=schedule.learning_rate
        )
        steps_per_epoch = len(data) // schedule.batch_size
        task = progress.add_task(title, total=schedule.epochs * steps_per_epoch)
        scheduler = CosineLRScheduler(
            optimizer,
            t_initial=schedule.epochs * steps_per_epoch,
            warmup_t=schedule.warmup_epochs * steps_per_epoch,
            warmup_lr_init=schedule.learning_rate / 100,
            warmup_prefix=False,
            t_in_epochs=False,
        )
        device, step = device_of(model), 0
        for _ in range(schedule.epochs):
            model.train()
            order = torch.randperm(len(data), generator=generator)
            for chosen in order.split(schedule.batch_size)[:steps_per_epoch]:
                scheduler.step_update(step)
                images = prepare(data.images[chosen], generator).to(device)
                labels = data.labels[chosen].to(device)
                loss = _loss(model(images), labels, images, teacher, schedule)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                step += 1
                progress.advance(task)
    model.eval()


def _parameter_groups(model: nn.Module, schedule: Schedule) -> list[dict[str, object]]:
    """Weight decay for weight matrices only: not for biases, norms and quantization steps."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = name.endswith(("weight", "weight.original")) and parameter.ndim > 1
        (decayed if is_matrix else others).append(parameter)
    return [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _loss(
    logits: Tensor, labels: Tensor, images: Tensor, teacher: nn.Module | None, schedule: Schedule
) -> Tensor:
    if teacher is None:
        return F.cross_entropy(logits, labels, label_smoothing=schedule.label_smoothing)
    with torch.no_grad():
        soft = F.softmax(teacher(images), dim=1)
    return F.cross_entropy(logits, soft)


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, batch_size: int = 128) -> Tensor:
    """Logits [n, classes] of uint8 images [n, 1, h, w]."""
    model.eval()
    return torch.cat([model(normalize(batch)) for batch in images.split(batch_size)])


def evaluate(model: nn.Module, data: Split) -> float:
    """Top-1 accuracy in percent."""
    return top1(predict(model, data.images), data.labels)


def top1(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent of logits [n, classes]."""
    return 100 * (logits.argmax(dim=1) == labels).double().mean().item()
