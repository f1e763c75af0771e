"""A run's losses and accuracies as TensorBoard shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pqv_onnx.errors import PqvError


class Board:
    """Event files of a run; they are opened when there is something to tell."""

    def __init__(self, folder: Path) -> None:
        """Say where the files go.

        Raises:
            PqvError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise PqvError(
                "--tensorboard needs the Python package tensorboard: pip install tensorboard"
            ) from error
        self._open, self._folder = SummaryWriter, folder
        self._writer: Any = None

    def step(self, step: int, loss: float) -> None:
        """After an update: the mean loss of the epoch so far."""
        if self._writer is None:
            # A run that goes on tells some steps again: what was told of them goes.
            self._writer = self._open(str(self._folder), purge_step=step)
        self._writer.add_scalar("step/loss", loss, step)

    def epoch(self, row: dict[str, float]) -> None:
        """After an epoch, with its row of the log, at its step."""
        for name in ("lr", "loss", "top1", "top5"):
            self._writer.add_scalar(f"epoch/{name}", row[name], int(row["step"]))
        self._writer.flush()
