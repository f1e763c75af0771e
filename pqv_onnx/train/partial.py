"""A calibration that can be stopped: what is done so far lies beside the checkpoint to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pqv_onnx.files import write_atomically
from pqv_onnx.qat import Calibration, QuantModel
from pqv_onnx.qat.reconstruction import METHOD

_KEY, _FINISHED = "calibration", "segments"


class PartialCalibration:
    """The file of one calibration: the same model, images and options go on from it.

    Attributes:
        path: ``NAME.part.safetensors`` beside the checkpoint ``NAME.safetensors``.
    """

    def __init__(
        self, checkpoint: Path, model: QuantModel, images: Iterable[Tensor], options: Calibration
    ) -> None:
        """Know the calibration by a hash of everything that it starts from."""
        self.path = checkpoint.with_suffix(".part.safetensors")
        digest = hashlib.sha256(json.dumps(model.config.to_dict()).encode())
        digest.update(json.dumps([asdict(options), METHOD]).encode())
        for tensor in (*model.state_dict().values(), *images):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.key = digest.hexdigest()

    def load(self) -> tuple[int, dict[str, Tensor] | None]:
        """How many segments are done and the model's state then; 0 if there is nothing of use."""
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get(_KEY) != self.key:
                    return 0, None
                state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return 0, None
        return int(metadata[_FINISHED]), state

    def save(self, model: QuantModel, finished: int) -> None:
        """Keep ``model``, of which so many segments are done.

        Raises:
            PqvError: the file cannot be written.
        """
        state = {
            name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
        }
        write_atomically(self.path, save(state, {_KEY: self.key, _FINISHED: str(finished)}))

    def remove(self) -> None:
        """The calibration is over."""
        self.path.unlink(missing_ok=True)
