"""A float model to a calibrated quantized one: post-training quantization, and QAT's start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from pqv_onnx.checkpoint import save_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.progress import Progress, silent
from pqv_onnx.qat import Calibration, ModelConfig, QuantModel, Watcher, convert_to_qat
from pqv_onnx.qat import calibrate as choose_quantization
from pqv_onnx.runtime.labels import read_labels
from pqv_onnx.spec import QuantSpec, TensorSpec
from pqv_onnx.train.data import ANY_CLASSES, Split, eval_batches
from pqv_onnx.train.folders import folder_labels
from pqv_onnx.train.partial import PartialCalibration
from pqv_onnx.train.recipe import Recipe
from pqv_onnx.train.sensitivity import Sensitivity, measure_sensitivity
from pqv_onnx.train.transforms import normalise


def quantize(
    model: nn.Module,
    spec: QuantSpec,
    split: Split,
    *,
    images: int,
    batch_size: int = 32,
    seed: int = 0,
    initialization: str = "search",
    progress: Progress = silent,
) -> QuantModel:
    """Convert a float model and choose its steps on images of ``split``.

    Args:
        model: a timm model.
        spec: the quantization scheme.
        split: where the images come from.
        images: how many to use, chosen at random.
        batch_size: images read at a time.
        seed: of the choice.
        initialization: of the steps, as in ``calibrate``.
        progress: told of the images that are read.

    Returns:
        A calibrated model in evaluation mode.

    Raises:
        PqvError: the model is not supported, or an image cannot be read.
    """
    quantized = convert_to_qat(model, spec)
    data = read_images(quantized.config, split, images, batch_size, seed, progress=progress)
    choose_quantization(quantized, data, Calibration(initialization))
    return quantized.eval()


def student(recipe: Recipe, float_model: nn.Module, split: Split) -> QuantModel:
    """What a run of a recipe trains: a calibrated model, or one to be trained in float.

    The latter has the float model's own tensors, not rotated.

    Raises:
        PqvError: the model is not supported, or an image cannot be read.
    """
    train = recipe.train
    if train.rounding == "after":
        return convert_to_qat(float_model, recipe.spec.unrotated()).eval()
    return quantize(
        float_model,
        recipe.spec,
        split,
        images=train.calibration_images,
        seed=train.seed,
        initialization=train.initialization,
    )


def read_labels_of(file: str | Path, classes: int) -> tuple[str, ...]:
    """Read a name for each of so many classes.

    Raises:
        PqvError: the file is no list of labels, or of another number.
    """
    labels = read_labels(file)
    if len(labels) != classes:
        raise PqvError(f"{file}: found {len(labels)} labels, the model has {classes} classes")
    return labels


def name_classes(model: QuantModel, file: str | Path | None, split: Split | None = None) -> None:
    """Give a model's classes the names in a file, else those of a data set's folders.

    Where there is no file, and no folder for each class, they keep the names that they have.

    Args:
        model: its config is exchanged.
        file: a name a line.
        split: of the data set.

    Raises:
        PqvError: the file is no list of labels or has not as many as the model has classes, or
            the split cannot be opened.
    """
    classes = model.config.backbone.num_classes
    labels = None
    if file is not None:
        labels = read_labels_of(file, classes)
    elif split is not None and classes:
        labels = folder_labels(split.open(model.config.backbone.in_chans, False, 1, 0), classes)
    if labels is not None:
        model.config = replace(model.config, labels=labels)


def read_images(
    config: ModelConfig,
    split: Split,
    images: int,
    batch_size: int = 32,
    seed: int = 0,
    skip: int = 0,
    *,
    progress: Progress = silent,
) -> list[Tensor]:
    """Batches of normalised images [B, C, H, W] for a model.

    Args:
        config: of the model.
        split: where the images come from.
        images: how many to use, chosen at random.
        batch_size: images read at a time.
        seed: of the choice.
        skip: leave out so many images that a smaller ``images`` would choose.
        progress: told of the images that are read.

    Raises:
        PqvError: the split cannot be opened, or an image cannot be read.
    """
    preprocessing = config.input
    classes = config.backbone.num_classes or ANY_CLASSES
    batches, count = eval_batches(split, preprocessing, classes, batch_size, images, seed, skip)
    inputs: list[Tensor] = []
    for pixels, _ in batches:
        inputs.append(normalise(pixels, preprocessing))
        progress("reading images", sum(map(len, inputs)), count)
    return inputs


def calibrate_to(
    output: Path,
    model: QuantModel,
    inputs: list[Tensor],
    options: Calibration,
    progress: Progress = silent,
) -> None:
    """Calibrate a model and save it; a run that was stopped goes on where it was.

    Args:
        output: the ``.safetensors`` to write; ``NAME.part.safetensors`` is beside it until the end.
        model: an uncalibrated model; it is calibrated in place.
        inputs: batches of normalised images [B, C, H, W].
        options: how to calibrate.
        progress: told of the share that is done.

    Raises:
        PqvError: a tensor is not finite, or a file cannot be written.
    """
    partial = PartialCalibration(output, model, inputs, options)
    finished, state = partial.load()
    going_on = f", going on after {finished} parts" if finished else ""
    watcher = Watcher(
        lambda share, _: progress(f"calibrating{going_on}", share, 1),
        finished,
        state,
        lambda done: partial.save(model, done),
    )
    choose_quantization(model, inputs, options, watcher)
    save_qat(output, model)
    partial.remove()


def analyse(
    float_model: nn.Module, spec: QuantSpec, inputs: list[Tensor], progress: Progress = silent
) -> Sensitivity:
    """What 4-bit weights cost in each layer, with the activations of ``spec``.

    Args:
        float_model: in evaluation mode.
        spec: the quantization scheme; the bits of its weights do not matter.
        inputs: batches of normalised images [B, C, H, W].
        progress: told of the calibration, then of the layers.

    Raises:
        PqvError: the model is not supported.
    """
    base = convert_to_qat(float_model, replace(spec, weight=TensorSpec(8, "per-channel")))
    watcher = Watcher(lambda share, _: progress("calibrating at 8 bits", share, 1))
    choose_quantization(base, inputs, watcher=watcher)
    return measure_sensitivity(
        float_model,
        base.eval(),
        inputs,
        progress=lambda done, total: progress("4-bit weights, layer by layer", done, total),
    )
