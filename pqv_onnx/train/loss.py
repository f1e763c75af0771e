"""The training loss: labels, a float teacher, or both."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pqv_onnx.train.recipe import Distillation


def distillation_loss(logits: Tensor, teacher: Tensor, kind: str, temperature: float) -> Tensor:
    """The student's distance to a teacher (Hinton et al., 2015; DeiT, section 4).

    Args:
        logits: the student's, [B, classes].
        teacher: the teacher's, [B, classes].
        kind: ``soft``: T^2 * KL(softmax(teacher / T) || softmax(logits / T)), which keeps the
            gradient's size whatever T is; ``hard``: cross entropy with the teacher's best class.
        temperature: T, of ``soft``.

    Returns:
        The mean over the batch, [].
    """
    if kind == "hard":
        return F.cross_entropy(logits, teacher.argmax(1))
    student = F.log_softmax(logits / temperature, 1)
    target = F.log_softmax(teacher / temperature, 1)
    return F.kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2


class Criterion:
    """(1 - weight) * cross entropy with the labels + weight * distance to the teacher."""

    def __init__(
        self, distillation: Distillation, teacher: nn.Module | None, label_smoothing: float
    ) -> None:
        """Take the teacher, in evaluation mode on the student's device; None for ``none``."""
        assert (teacher is None) == (distillation.kind == "none")
        self.distillation, self.teacher = distillation, teacher
        self.label_smoothing = label_smoothing

    def __call__(
        self,
        logits: Tensor,
        targets: Tensor,
        images: Tensor,
        autocast: AbstractContextManager[object] | None = None,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            logits: the student's, [B, classes]; or those of its class token's and its
                distillation token's head, [2, B, classes], of which the first learns from the
                labels and the second from the teacher (DeiT, section 4).
            targets: classes, int64 [B], or probabilities, float [B, classes].
            images: what the student saw, for the teacher.
            autocast: context to run the teacher in.
        """
        smoothing = self.label_smoothing if targets.ndim == 1 else 0.0
        logits = logits.float()
        to_labels, to_teacher = logits if logits.ndim == 3 else (logits, logits)
        if self.teacher is None:
            return F.cross_entropy(to_labels, targets, label_smoothing=smoothing)
        with torch.no_grad(), autocast or nullcontext():
            answer = self.teacher(images)
        weight, kind = self.distillation.weight, self.distillation.kind
        temperature = self.distillation.temperature
        loss = weight * distillation_loss(to_teacher, answer.float(), kind, temperature)
        if weight < 1:
            labels = F.cross_entropy(to_labels, targets, label_smoothing=smoothing)
            loss = loss + (1 - weight) * labels
        return loss
