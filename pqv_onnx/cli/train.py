"""``pqv train``: quantization-aware training by a recipe."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pqv_onnx.cli.options import JsonOption, check_json, console, write_json
from pqv_onnx.cli.progress import Bars, status
from pqv_onnx.cli.training import (
    ClassesOption,
    DataOption,
    LabelsOption,
    PretrainedOption,
    RandomOption,
    WeightsOption,
    float_source,
)
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_folder, filled_folder

if TYPE_CHECKING:
    from torch import nn

    from pqv_onnx.qat import QuantModel
    from pqv_onnx.train.models import FloatSource
    from pqv_onnx.train.recipe import Recipe


def command(
    recipe: Annotated[Path, typer.Option(help="A name of `pqv recipes`, or a .toml file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run's files.")],
    data: DataOption = None,
    weights: WeightsOption = None,
    random_weights: RandomOption = None,
    pretrained: PretrainedOption = False,
    classes: ClassesOption = None,
    labels: LabelsOption = None,
    calibrated: Annotated[
        Path | None, typer.Option(help="QAT checkpoint to start from, as of `pqv calibrate`.")
    ] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option(help="Of the recipe's teacher; default: timm's pretrained.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the output folder.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, repeatable."),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Event files for TensorBoard, too, in the folder."),
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Train a quantized model by a recipe, on one process or many.

    The float model (--weights, --random-weights or --pretrained) is what is quantized, and the
    teacher. Many processes: `accelerate launch -m pqv_onnx.cli.main train ...`

    Example: `pqv train --recipe deit_tiny_patch16_224.w4a4 --data imagenet --weights deit.pth
    -o run --set train.batch_size=128`
    """
    from pqv_onnx.train.recipe import load_recipe

    check_json(json_file, weights, calibrated, teacher_weights, labels)
    source = float_source(weights, random_weights, pretrained, classes=classes)
    options = load_recipe(recipe, changes or [])
    check_folder(output)
    with status.working("importing torch"):
        from pqv_onnx.train.board import Board
        from pqv_onnx.train.engine import BEST, LAST, STATE, Report, Trainer, make_accelerator
        from pqv_onnx.train.models import import_modules
    board = Board(output / "tensorboard") if tensorboard else None
    if not resume and any((output / name).exists() for name in (STATE, LAST, BEST)):
        raise PqvError(
            f"{output} holds a run already: go on with it by --resume, or give another folder"
        )
    import_modules(options.imports)
    if calibrated is not None and options.train.rounding == "after":
        raise PqvError(
            f"{calibrated} is rounded already: with train.rounding = 'after' a run starts from "
            "float weights, without --calibrated"
        )
    if resume and calibrated is None and (output / LAST).exists():
        calibrated = output / LAST  # the state replaces its weights: no need to calibrate again
    accelerator = make_accelerator(options.train.mixed_precision)
    waiting = (
        status.working("preparing the models") if accelerator.is_main_process else nullcontext()
    )
    with waiting:
        model, teacher = _models(options, source, calibrated, teacher_weights, data, labels)
    with Bars(accelerator.is_main_process) as bar:
        task = bar.add_task(options.model, total=None)

        def on_step(done: int, total: int, loss: float) -> None:
            text = f"{options.model} loss {loss:.4f}"
            bar.update(task, completed=done, total=total, description=text)
            if board is not None:
                board.step(done, loss)

        before = {"weights-after": ", weights not rounded yet", "after": ", in float"}.get(
            options.train.rounding, ""
        )

        def on_epoch(row: dict[str, float]) -> None:
            bar.print(
                f"epoch {row['epoch']}: loss {row['loss']:.4f}, top-1 {row['top1']:.2f}%, "
                f"top-5 {row['top5']:.2f}%{before}"
            )
            if board is not None:
                board.epoch(row)

        def on_rounding(share: float) -> None:
            bar.stage(f"{options.model}: rounding", share, 1)

        report = Report(on_step, on_epoch, on_rounding) if accelerator.is_main_process else Report()
        trainer = Trainer(options, model, teacher, data, output, accelerator, report)
        if resume:
            trainer.resume()
        with filled_folder(output):  # not before: a run that is refused leaves none
            result = trainer.run()
    if accelerator.is_main_process:
        console.print(f"{output / LAST}: top-1 {result.top1:.2f}%, top-5 {result.top5:.2f}%")
        run = {"step": trainer.progress.step, "processes": accelerator.num_processes}
        write_json(json_file, {"output": str(output), **run, **result.to_dict()})
    accelerator.end_training()


def _check_start(path: Path, student: QuantModel, recipe: Recipe) -> None:
    """Refuse another model or scheme than the recipe's.

    Where the recipe names no layers, the checkpoint's bits of layers count.
    """
    from pqv_onnx.train.models import check_model

    check_model(path, student, recipe.model)
    found, spec = student.config.spec, recipe.spec
    wanted = spec.for_layers(student.block_layers())
    if not spec.weight_bits:
        wanted = replace(wanted, weight_bits=found.weight_bits)
    if found != wanted:
        raise PqvError(f"{path} is {found.name}, the recipe's is {wanted.name}")


def _models(
    recipe: Recipe,
    source: FloatSource,
    calibrated: Path | None,
    teacher_weights: Path | None,
    data: str | None,
    labels: Path | None,
) -> tuple[QuantModel, nn.Module | None]:
    """The student, and the teacher if the recipe has one."""
    from pqv_onnx.checkpoint import load_qat
    from pqv_onnx.train.calibration import name_classes, student
    from pqv_onnx.train.data import Split
    from pqv_onnx.train.folders import check_classes
    from pqv_onnx.train.models import FloatSource

    train, options = recipe.train, recipe.train.distillation
    own_teacher = options.kind != "none" and not options.teacher
    if not source.given and (calibrated is None or own_teacher):
        raise typer.BadParameter("give --weights, --random-weights or --pretrained")
    if own_teacher and source.classes is not None:
        raise PqvError(
            "a new head (--num-classes) has nothing to teach: --set train.distillation.kind=none, "
            "or train.distillation.teacher and --teacher-weights of a model with these classes"
        )
    split = Split(train.data.dataset, data, train.data.train_split, train.data.workers)
    images = split.open(3, False, 1, 0)
    float_model = source.load(recipe.model) if source.given else None
    if calibrated is not None:
        model = load_qat(calibrated)
        _check_start(calibrated, model, recipe)
        check_classes(images, model.config.backbone.num_classes)
    else:
        assert float_model is not None
        check_classes(images, int(float_model.num_classes))  # type: ignore[arg-type]
        model = student(recipe, float_model, split)
    name_classes(model, labels, split)
    if options.kind == "none":
        return model, None
    if own_teacher:
        return model, float_model
    weights = FloatSource(teacher_weights, pretrained=teacher_weights is None)
    return model, weights.load(options.teacher)
