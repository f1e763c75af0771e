"""The float model: the pretrained backbone with a linear head fitted on its features.

Features are kept in chunks, so that an interrupted run loses little; the fitted model lies in
``float.safetensors``, with timm's names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from benchmarks.accuracy.pretrained.backbone import backbone_path, create_model, read_backbone
from benchmarks.accuracy.pretrained.data import batches, classes_of, load_pixels, open_split
from pqv_onnx.files import make_folder, write_atomically

OUTPUT = Path("build/pretrained")
HEAD_IMAGES = 10_000
_CHUNK, _BATCH = 250, 25
_INVERSE_PENALTY = 0.03
"""Of 0.001 to 1 the best for 2,000 training images left out of 10,000."""
_SETTINGS = "benchmark"
"""The key of a file's metadata."""
Progress = Callable[[str], None]


def load_model(
    image_size: int = 112,
    output: Path = OUTPUT,
    *,
    head_images: int | None = None,
    data: Path | None = None,
    progress: Progress = print,
) -> nn.Module:
    """The float model with its head, in evaluation mode; made if it is not in ``output`` yet.

    Args:
        image_size: in pixels.
        output: the folder of features and of the model.
        head_images: training images for the head; if none are given, whatever the model in
            ``output`` has, else `HEAD_IMAGES`.
        data: see `benchmarks.accuracy.pretrained.data.open_split`.
        progress: called with a line about each step.

    Raises:
        PqvError: the weights or the images cannot be had.
    """
    path = output / "float.safetensors"
    wanted = {"image_size": image_size, "data": str(data or "fashion-mnist")}
    found = _settings(path)
    same = all(found.get(key) == value for key, value in wanted.items())
    count = head_images or (found["head_images"] if same else HEAD_IMAGES)
    if not same or found["head_images"] != count:
        make_folder(output)
        model = _make(image_size, output, count, data, progress)
        settings = json.dumps(wanted | {"head_images": count})
        write_atomically(path, save(model.state_dict(), {_SETTINGS: settings}))
        return model
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    return create_model(state, image_size, len(state["head.bias"]))


def _settings(path: Path) -> dict[str, Any]:
    """What a file of a fitted model was made from; empty if there is none."""
    if not path.is_file():
        return {}
    with safe_open(path, framework="pt") as file:
        return json.loads((file.metadata() or {}).get(_SETTINGS, "{}"))


def _make(
    image_size: int, output: Path, count: int, data: Path | None, progress: Progress
) -> VisionTransformer:
    backbone = read_backbone(backbone_path())
    extractor = create_model(backbone, image_size)
    folder = make_folder(output / f"features-{image_size}")
    features, labels = features_of(extractor, count, image_size, folder, data, progress)
    model = create_model(backbone, image_size, classes_of(data))
    started = time.monotonic()
    fit_head(model.head, features, labels)
    progress(f"head fitted on {len(features)} images in {time.monotonic() - started:.0f} s")
    return model


@torch.inference_mode()
def features_of(
    model: nn.Module,
    count: int,
    image_size: int,
    folder: Path,
    data: Path | None = None,
    progress: Progress = print,
) -> tuple[np.ndarray, np.ndarray]:
    """Class tokens of training images, float32 [N, width], and classes, [N]; kept in ``folder``."""
    count = min(count, len(open_split("train", data)))
    chunks = []
    for start in range(0, count, _CHUNK):
        path = folder / f"{start:06d}.npz"
        if not path.is_file():
            pixels, labels = load_pixels(
                "train", _CHUNK, image_size=image_size, data=data, start=start
            )
            found = torch.cat([model(images) for images in batches(pixels, _BATCH)])
            _write(path, features=found.numpy(), labels=labels.numpy())
            progress(f"features of {start + len(labels)} of {count} training images")
        with np.load(path) as chunk:
            chunks.append((chunk["features"], chunk["labels"]))
    features, labels = (np.concatenate(parts)[:count] for parts in zip(*chunks, strict=True))
    return features, labels


def _write(path: Path, **arrays: np.ndarray) -> None:
    file = BytesIO()
    np.savez(file, **arrays)
    write_atomically(path, file.getvalue())


def fit_head(head: nn.Linear, features: np.ndarray, labels: np.ndarray) -> None:
    """Logistic regression on standardized features, which the head's weights take up."""
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
    fitted.fit(scaler.transform(features), labels)
    weight, bias = fitted.coef_ / scaler.scale_, fitted.intercept_
    if len(weight) == 1:  # of two classes scikit-learn gives the second one's margin
        weight, bias = np.stack([0 * weight[0], weight[0]]), np.array([0.0, bias[0]])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias - weight @ scaler.mean_))
