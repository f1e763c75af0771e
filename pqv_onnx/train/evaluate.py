"""Top-1, top-5 and agreement with float of models of every kind over the same images.

Of models that give an embedding, tokens or feature maps: cosine and SQNR against the float model.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from PIL import Image
from torch import Tensor, nn

from pqv_onnx.checkpoint import is_qat, load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.graph.load import load_model, metadata, result_names, takes_image
from pqv_onnx.integer import convert_to_integer
from pqv_onnx.progress import Progress, silent
from pqv_onnx.qat.convert import for_task
from pqv_onnx.qat.noise import decibels
from pqv_onnx.runtime.images import as_image, open_image
from pqv_onnx.runtime.preprocess import LAYOUTS, ONE_IMAGE, ModelInput
from pqv_onnx.runtime.session import InferenceSession, run_session
from pqv_onnx.trace.values import all_results
from pqv_onnx.train.data import ANY_CLASSES, Batch, Share, Split, eval_batches
from pqv_onnx.train.folders import class_names
from pqv_onnx.train.models import FloatSource, float_input
from pqv_onnx.train.transforms import eval_transform, normalise

_NO_RANK = 1 << 30


@dataclass(frozen=True)
class Subject:
    """A model to evaluate.

    Attributes:
        name: what to call it.
        kind: ``float``, ``fake-quantized``, ``integer``, ``onnx, library`` or ``onnx, functions``.
        classes: of its logits; 0 if it gives something else.
        preprocessing: how it wants its images.
        predict: uint8 pixels [B, H, W, C] to logits [B, classes], or to an embedding or tokens
            [B, ...], on the CPU; several feature maps become one vector for each image. Of a model
            of images, they are images of any size; of one of files, the bytes of files.
    """

    name: str
    kind: str
    classes: int
    preprocessing: ModelInput
    predict: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Agreement:
    """How near what a model gives is to what the float model gives.

    Attributes:
        reference: name of the float model.
        same: images that both give the same class, in percent; NaN if they give no classes.
        cosine: of the logits of an image, the mean over the images.
        sqnr: 10 log10(sum t^2 / sum (t - z)^2) in dB, over all images, with the float model's
            logits t and the model's own z; infinite where they are equal.
    """

    reference: str
    same: float
    cosine: float
    sqnr: float

    @classmethod
    def of(cls, reference: str, sums: Sequence[float], images: int, classes: int) -> Agreement:
        """From the sums of `compare` over all images; 0 ``classes`` if there are none."""
        same, cosine, signal, noise = sums
        share = 100 * same / images if classes else math.nan
        return cls(reference, share, cosine / images, decibels(signal, noise))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict: null for what is not finite."""
        return _finite(asdict(self))


@dataclass(frozen=True)
class Accuracy:
    """What an evaluation found; top-1 and top-5 in percent, NaN where no class is known."""

    name: str
    kind: str
    top1: float
    top5: float
    images: int
    agreement: Agreement | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return _finite(asdict(self)) | {"agreement": self.agreement and self.agreement.to_dict()}


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has no number for what is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }


def torch_subject(
    name: str,
    kind: str,
    model: nn.Module,
    classes: int,
    preprocessing: ModelInput,
    device: torch.device | str = "cpu",
) -> Subject:
    """A torch model of normalised images as a subject; it is moved to ``device``."""
    model.eval().to(device)

    @torch.inference_mode()
    def predict(pixels: Tensor) -> Tensor:
        return _joined(model(normalise(pixels, preprocessing).to(device))).float().cpu()

    return Subject(name, kind, classes, preprocessing, predict)


def _joined(results: Any) -> Tensor:
    """What a model gives; of several maps, the elements of all."""
    found = all_results(results)
    return found[0] if len(found) == 1 else torch.cat([one.flatten(1) for one in found], 1)


def onnx_subject(path: Path, use_library: bool) -> Subject:
    """An exported model as a subject, on onnxruntime with or without the op library."""
    proto = load_model(path)
    preprocessing = ModelInput.from_metadata(metadata(proto))
    session = InferenceSession(path, use_library=use_library)
    given, names = session.get_inputs()[0].name, result_names(proto)
    logits = next((o for o in session.get_outputs() if o.name == "logits"), None)
    classes = int(logits.shape[-1]) if logits is not None else 0

    def run(fed: np.ndarray) -> Tensor:
        found = run_session(session, {given: fed}, path, names)
        return _joined([torch.from_numpy(np.asarray(one)) for one in found])

    def predict(pixels: Tensor) -> Tensor:
        if takes_image(proto):
            return torch.cat([run(image.numpy()) for image in pixels])
        return run(preprocessing.from_pixels(pixels.numpy()))

    kind = "onnx, library" if use_library else "onnx, functions"
    return Subject(str(path), kind, classes, preprocessing, predict)


def subjects_of(
    path: Path,
    timm_name: str | None,
    *,
    integer: bool = False,
    functions: bool = False,
    device: torch.device | str = "cpu",
) -> list[Subject]:
    """The subjects that a file stands for.

    Args:
        path: an exported ``.onnx`` file, a QAT checkpoint, or weights of a float timm model.
        timm_name: of the float model.
        integer: of a QAT checkpoint, evaluate the integer model, too.
        functions: of an ``.onnx`` file, evaluate it without the op library, too.
        device: for the torch models; the integer model stays on the CPU.

    Raises:
        PqvError: the file is missing, damaged, or of none of these kinds.
    """
    if path.suffix.lower() == ".onnx":
        return [onnx_subject(path, use_library=used) for used in (True, False)[: 1 + functions]]
    if is_qat(path):
        model = load_qat(path)
        shared = (model.config.backbone.num_classes, model.config.input)
        found = [torch_subject(str(path), "fake-quantized", model, *shared, device)]
        if integer:
            oracle = convert_to_integer(load_qat(path))
            found.append(torch_subject(str(path), "integer", oracle, *shared))
        return found
    if timm_name is None:
        raise PqvError(f"{path}: no QAT checkpoint; name the timm model of float weights (--model)")
    return [float_subject(str(path), FloatSource(path).load(timm_name), device)]


def float_subject(
    name: str, model: nn.Module, device: torch.device | str = "cpu", task: str = "logits"
) -> Subject:
    """A float timm model as a subject, which gives what ``task`` says."""
    classes = int(model.num_classes) if task == "logits" else 0  # type: ignore[arg-type]
    preprocessing = float_input(model)
    return torch_subject(name, "float", for_task(model, task), classes, preprocessing, device)


def remembering(subject: Subject) -> Subject:
    """The subject, which runs once for each batch that it is given: for several evaluations."""
    kept: dict[bytes, Tensor] = {}

    def predict(pixels: Tensor) -> Tensor:
        key = hashlib.sha256(pixels.numpy().tobytes()).digest()
        if key not in kept:
            kept[key] = subject.predict(pixels)
        return kept[key]

    return replace(subject, predict=predict)


def common_preprocessing(subjects: Sequence[Subject]) -> ModelInput:
    """The one way to make the images of all subjects.

    Raises:
        PqvError: two subjects want different images, or have different numbers of classes.
    """
    first = subjects[0]
    for other in subjects[1:]:
        for name, wanted in vars(first.preprocessing).items():
            found = getattr(other.preprocessing, name)
            # The file's own input format is its predict's business.
            same = np.allclose(found, wanted) if name in ("mean", "std") else found == wanted
            if name not in ("input", "layout") and not same:
                raise PqvError(
                    f"{first.name} and {other.name} want different images: "
                    f"{name} {wanted} and {found}"
                )
        if other.classes != first.classes:
            raise PqvError(
                f"{first.name} has {first.classes or 'no'} classes, "
                f"{other.name} has {other.classes or 'none'}"
            )
    inputs = {subject.preprocessing.input for subject in subjects}
    given = next((kind for kind in ONE_IMAGE if kind in inputs), "float")
    return replace(first.preprocessing, input=given, layout=LAYOUTS[given][0])


def _given(subject: Subject, kind: str) -> Subject:
    """The subject, which is given what other models take: images of any size, or files."""
    own = subject.preprocessing.input
    if kind not in ONE_IMAGE or own == kind:
        return subject
    transform = eval_transform(subject.preprocessing)

    def image_of(given: np.ndarray) -> Image.Image:
        if kind == "image":
            return as_image(given)
        mode = "L" if subject.preprocessing.channels == 1 else "RGB"
        return open_image(io.BytesIO(given.tobytes())).convert(mode)

    def predict(items: Iterable[Tensor]) -> Tensor:
        images: Any = [transform(image_of(item.numpy())) for item in items]
        return subject.predict(images if own == "image" else torch.stack(images))

    return replace(subject, predict=predict)


def count_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """How many labels are first, and how many among the first five, int64 [2].

    Classes of equal logits are ranked by their number, so that equal logits always count alike.
    """
    own = logits.gather(1, labels[:, None])
    before = torch.arange(logits.shape[1], device=labels.device) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(1)
    # Nothing is larger than a NaN: it must not make any label the first.
    rank = torch.where(torch.isfinite(logits).all(1), rank, _NO_RANK)
    return torch.stack([(rank < 1).sum(), (rank < 5).sum()])


def compare(reference: Tensor, logits: Tensor) -> Tensor:
    """What `Agreement` is made of, summed over the images, float64 [4].

    Args:
        reference: the float model's logits, embedding or tokens [B, ...].
        logits: the other model's.

    Returns:
        How many images have the same class, the cosines of the logits, the squares of
        ``reference`` and the squares of the difference.
    """
    wanted, found = reference.double().flatten(1), logits.double().flatten(1)
    # The highest of logits with a NaN is the NaN, which is no class.
    same = (wanted.argmax(1) == found.argmax(1)) & torch.isfinite(found).all(1)
    cosines = F.cosine_similarity(wanted, found, dim=1)
    noise = (wanted - found).square()
    return torch.stack([same.sum(), cosines.sum(), wanted.square().sum(), noise.sum()])


def evaluate(
    subjects: Sequence[Subject],
    batches: Iterable[Batch],
    *,
    labelled: bool = True,
    add: Callable[[Tensor], Tensor] = lambda counts: counts,
    progress: Callable[[int], None] = lambda images: None,
) -> list[Accuracy]:
    """Evaluate all subjects on the same batches, and compare them with the first float one.

    Args:
        subjects: models that want the same images.
        batches: uint8 pixels [B, H, W, C] and labels [B], this process's part.
        labelled: whether the images' classes are known.
        add: sums a tensor over all processes.
        progress: called with the number of images of each batch when it is done.

    Raises:
        PqvError: there are no images, or one of ``batches`` cannot be had.
    """
    base = next((i for i, subject in enumerate(subjects) if subject.kind == "float"), None)
    labelled = labelled and bool(subjects[0].classes)
    sums = torch.zeros(len(subjects), 6, dtype=torch.float64)  # exact for counts
    images = 0
    for pixels, labels in batches:
        logits = [subject.predict(pixels) for subject in subjects]
        for own, found in zip(sums, logits, strict=True):
            own[:2] += count_correct(found, labels) if labelled else math.nan
            if base is not None:
                own[2:] += compare(logits[base], found)
        images += len(labels)
        progress(len(labels))
    totals = add(torch.cat([sums.flatten(), torch.tensor([images])]))
    if not (images := int(totals[-1])):
        raise PqvError("found no images to evaluate on")
    sums = totals[:-1].reshape(-1, 6)
    return _accuracies(subjects, base, sums.tolist(), images)


def evaluate_split(
    subjects: Sequence[Subject],
    split: Split,
    batch_size: int = 32,
    *,
    limit: int | None = None,
    seed: int = 0,
    skip: int = 0,
    share: Share = Share(),  # noqa: B008 - frozen
    add: Callable[[Tensor], Tensor] = lambda counts: counts,
    progress: Progress = silent,
) -> list[Accuracy]:
    """Evaluate models on images of a split, which are made in one way for all of them.

    Args:
        subjects: models that want the same images, and have as many classes.
        split: the split; images in one folder without classes have no labels.
        batch_size: images at a time.
        limit: use so many images, chosen at random.
        seed: of the choice.
        skip: leave out so many images that a smaller ``limit`` would choose.
        share: this process's part.
        add: sums a tensor over all processes.
        progress: told of the images that are done.

    Raises:
        PqvError: the models want different images, the split cannot be opened or has other
            classes, or an image cannot be read.
    """
    preprocessing, classes = common_preprocessing(subjects), subjects[0].classes
    subjects = [_given(subject, preprocessing.input) for subject in subjects]
    batches, count = eval_batches(
        split, preprocessing, classes or ANY_CLASSES, batch_size, limit, seed, skip, share
    )
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        progress("evaluating", done, count)

    labelled = is_labelled(split, preprocessing.channels)
    return evaluate(subjects, batches, labelled=labelled, add=add, progress=advance)


def is_labelled(split: Split, channels: int = 3) -> bool:
    """Whether an image's class means something: of images in one folder it does not.

    Raises:
        PqvError: the split cannot be opened.
    """
    return bool(split.dataset or class_names(split.open(channels, False, 1, 0)))


def _accuracies(
    subjects: Sequence[Subject], base: int | None, sums: list[list[float]], images: int
) -> list[Accuracy]:
    result = []
    for index, (subject, row) in enumerate(zip(subjects, sums, strict=True)):
        agreement = None
        if base is not None and index != base:
            agreement = Agreement.of(subjects[base].name, row[2:], images, subject.classes)
        top1, top5 = (100 * count / images for count in row[:2])
        result.append(Accuracy(subject.name, subject.kind, top1, top5, images, agreement))
    return result
