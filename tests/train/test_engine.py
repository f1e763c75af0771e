"""Runs: what they leave, that they resume to the same bits, and how they fail."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import striped
import torch
from runs import recipe, same_state, student, trainer

from pqv_onnx.checkpoint import load_qat
from pqv_onnx.errors import PqvError
from pqv_onnx.qat import exact
from pqv_onnx.qat.build import create_timm
from pqv_onnx.qat.layers import QuantLinear
from pqv_onnx.qat.quantizers import Quantizer, WeightQuantizer
from pqv_onnx.qat.unrotated import rotated_state
from pqv_onnx.train import engine
from pqv_onnx.train.engine import LAST, Report, Trainer, make_accelerator
from pqv_onnx.train.models import FloatSource
from pqv_onnx.train.optimizer import make_optimizer
from pqv_onnx.train.recipe import Recipe


@pytest.fixture(scope="module")
def whole(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to; do not change it."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    trainer(recipe(folder), folders, folder / "whole").run()
    return folder / "whole"


def test_a_run_leaves_its_files(folders: Path, tmp_path: Path) -> None:
    run = trainer(recipe(tmp_path), folders, tmp_path / "run")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    result = run.run()
    assert result.images == 16
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"last.safetensors", "best.safetensors", "state.pt", "log.csv", "curves.png"}
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["step"] for row in rows] == ["4", "8"]
    assert float(rows[1]["lr"]) < float(rows[0]["lr"])
    changed = [
        n for n, value in run.model.state_dict().items() if not torch.equal(value, before[n])
    ]
    assert any(name.endswith("log_step") for name in changed)
    assert not any(name.endswith("exponent") for name in changed)


def test_the_moving_average_is_what_is_saved(folders: Path, tmp_path: Path) -> None:
    run = trainer(recipe(tmp_path), folders, tmp_path / "run")
    result = run.run()
    assert run.ema is not None
    saved = load_qat(tmp_path / "run" / "last.safetensors")
    assert same_state(saved.state_dict(), rotated_state(run.ema.module))
    assert not same_state(saved.state_dict(), rotated_state(run.model))
    assert saved.config.accuracy == result.top1 / 100


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", [3, 5, 6])
def test_a_killed_run_resumes_to_the_same_bits(
    step: int, whole: Path, folders: Path, tmp_path: Path
) -> None:
    """Killed after the third, the fifth (a new epoch's first) and the sixth of eight updates."""
    options = recipe(tmp_path, "train.save_every=1")

    def kill(done: int, total: int, loss: float) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        trainer(options, folders, tmp_path / "killed", step=kill).run()
    resumed = trainer(options, folders, tmp_path / "killed")
    resumed.resume()
    assert resumed.progress.step == step - 1
    resumed.run()
    _assert_same_files(whole, tmp_path / "killed")


@pytest.mark.parametrize("writer", ["save_qat", "write_log", "save_state"])
def test_a_run_killed_among_its_last_files_resumes_to_them(
    writer: str, whole: Path, folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(recipe(tmp_path), folders, tmp_path / "killed")

    def kill(*_: object) -> None:
        if run.progress.step == 8:
            raise Killed

    write = getattr(engine, writer)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(engine, writer, lambda *given: (write(*given), kill()))
        run.run()
    resumed = trainer(recipe(tmp_path), folders, tmp_path / "killed")
    resumed.resume()
    resumed.run()
    _assert_same_files(whole, tmp_path / "killed")


def rounded_after(folder: Path, rounding: str = "weights-after") -> Recipe:
    """A recipe whose weights, or more, get their codes after training."""
    return recipe(folder, f"train.rounding={rounding}", "train.rounding_steps=2")


@pytest.mark.parametrize(("rounding", "activations"), [("weights-after", True), ("after", False)])
def test_what_is_rounded_after_training(
    rounding: str, activations: bool, folders: Path, tmp_path: Path
) -> None:
    rounds: list[tuple[bool, bool]] = []
    told: list[float] = []

    def see(_done: int, _total: int, _loss: float) -> None:
        rounds.append((exact.rounds(), exact.rounds() and exact.rounds_weights()))

    options = rounded_after(tmp_path, rounding)
    run = trainer(options, folders, tmp_path / "run", step=see, rounding=told.append)
    result = run.run()
    assert rounds == [(activations, False)] * 8
    assert told[0] == 0 and told[-1] == 1 and told == sorted(told)
    assert same_state(run.snapshot().state_dict(), load_qat(run.output / LAST).state_dict())
    assert run.snapshot().config.spec == options.spec
    last, best = (load_qat(tmp_path / "run" / f"{name}.safetensors") for name in ("last", "best"))
    assert same_state(last.state_dict(), best.state_dict())
    assert last.config.accuracy == result.top1 / 100
    for linear in last.modules():
        if isinstance(linear, QuantLinear):
            codes = (linear.codes_weight / linear.quantizer.step).detach()
            torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("rounding", "kind"), [("weights-after", WeightQuantizer), ("after", Quantizer)]
)
def test_steps_of_what_is_not_rounded_are_not_trained(
    rounding: str, kind: type[Quantizer], folders: Path, tmp_path: Path
) -> None:
    """Processes would wait for their gradients."""
    run = trainer(rounded_after(tmp_path, rounding), folders, tmp_path / "run")
    trained = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    frozen = [p for m in run.model.modules() if isinstance(m, kind) for p in m.parameters()]
    assert frozen and not trained & set(map(id, frozen))
    assert all(p.requires_grad for p in run.snapshot().parameters())


@pytest.mark.parametrize("rounding", ["weights-after", "after"])
def test_a_run_killed_in_rounding_resumes_to_the_same_bits(
    rounding: str, folders: Path, tmp_path: Path
) -> None:
    options = rounded_after(tmp_path, rounding)
    trainer(options, folders, tmp_path / "whole").run()

    def kill(share: float) -> None:
        if share > 0.5:
            raise Killed

    with pytest.raises(Killed):
        trainer(options, folders, tmp_path / "killed", rounding=kill).run()
    assert not list((tmp_path / "killed").glob("*.safetensors")), "of weights without codes"
    resumed = trainer(options, folders, tmp_path / "killed")
    resumed.resume()
    resumed.run()
    _assert_same_files(tmp_path / "whole", tmp_path / "killed")


def test_the_accuracy_of_the_start_is_not_the_runs(folders: Path, tmp_path: Path) -> None:
    options = recipe(tmp_path, "train.distillation.kind=none")
    model = student(options, folders)
    model.config = replace(model.config, accuracy=0.5)
    run = Trainer(options, model, None, str(folders), tmp_path, make_accelerator())
    assert run.snapshot().config.accuracy is None


def test_a_run_ended_by_max_steps_goes_on(whole: Path, folders: Path, tmp_path: Path) -> None:
    run = trainer(recipe(tmp_path, "train.max_steps=3"), folders, tmp_path / "parts")
    run.run()
    assert run.progress.step == 3
    resumed = trainer(recipe(tmp_path), folders, tmp_path / "parts")
    resumed.resume()
    resumed.run()
    _assert_same_files(whole, tmp_path / "parts")


def test_loader_processes_do_not_change_the_result(folders: Path, tmp_path: Path) -> None:
    one_epoch = "train.max_steps=2"
    for workers in (0, 2):
        options = recipe(tmp_path, one_epoch, f"train.data.workers={workers}")
        trainer(options, folders, tmp_path / str(workers)).run()
    _assert_same_files(tmp_path / "0", tmp_path / "2")


def _assert_same_files(a: Path, b: Path) -> None:
    assert (a / "log.csv").read_text() == (b / "log.csv").read_text()
    saved = [load_qat(folder / "last.safetensors") for folder in (a, b)]
    assert saved[0].config == saved[1].config
    assert same_state(saved[0].state_dict(), saved[1].state_dict())
    states = [torch.load(folder / "state.pt", weights_only=True)["parts"] for folder in (a, b)]
    assert same_state(states[0]["model"], states[1]["model"])
    moments = [state["optimizer"]["state"] for state in states]
    assert all(same_state(moments[0][key], moments[1][key]) for key in moments[0])


def test_resuming_needs_the_same_recipe(folders: Path, tmp_path: Path) -> None:
    trainer(recipe(tmp_path, "train.max_steps=1"), folders, tmp_path / "run").run()
    other = trainer(recipe(tmp_path, "train.optimizer.lr=0.1"), folders, tmp_path / "run")
    with pytest.raises(PqvError, match=r"train.optimizer.lr = 0.001, the recipe 0.1"):
        other.resume()
    with pytest.raises(PqvError, match="no run to resume"):
        trainer(recipe(tmp_path), folders, tmp_path / "empty").resume()
    more = striped.make_folders(tmp_path / "more", images=9)
    with pytest.raises(PqvError, match="the run has 16 training images, found 18"):
        trainer(recipe(tmp_path), more, tmp_path / "run").resume()
    (tmp_path / "run" / "state.pt").write_bytes(b"damaged")
    with pytest.raises(PqvError, match="damaged"):
        other.resume()


def test_a_run_of_before_a_key_was_there_goes_on(folders: Path, tmp_path: Path) -> None:
    run = trainer(recipe(tmp_path, "train.max_steps=1"), folders, tmp_path / "run")
    run.run()
    path = tmp_path / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    old = json.loads(state["recipe"])
    del old["train"]["rounding"], old["train"]["optimizer"]["momentum"]
    torch.save(state | {"recipe": json.dumps(old)}, path)
    resumed = trainer(recipe(tmp_path), folders, tmp_path / "run")
    resumed.resume()
    assert resumed.progress.step == 1
    other = trainer(rounded_after(tmp_path), folders, tmp_path / "run")
    with pytest.raises(PqvError, match=r"the run has train.rounding = 'during'"):
        other.resume()


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(folders: Path, tmp_path: Path) -> None:
    options = recipe(tmp_path, "train.save_every=1")

    def spoil(done: int, total: int, loss: float) -> None:
        if done == 3:
            with torch.no_grad():
                run.model.head.bias.fill_(float("nan"))

    run = trainer(options, folders, tmp_path / "run", step=spoil)
    with pytest.raises(PqvError, match=r"not finite after step 3|loss is nan at step 4"):
        run.run()
    resumed = trainer(options, folders, tmp_path / "run")
    resumed.resume()
    assert resumed.progress.step == 2
    load_qat(tmp_path / "run" / "last.safetensors")


def test_a_step_that_falls_to_0_is_divergence(folders: Path, tmp_path: Path) -> None:
    run = trainer(recipe(tmp_path, "train.optimizer.lr=1e30"), folders, tmp_path / "run")
    with pytest.raises(PqvError, match=r"diverged before step 2: lower train.optimizer.lr"):
        run.run()


def test_a_full_disk_keeps_the_last_checkpoint(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = recipe(tmp_path, "train.save_every=1")

    def fill(done: int, total: int, loss: float) -> None:
        def replace(*_: object) -> None:
            raise OSError(28, "No space left on device")

        if done == 3:
            monkeypatch.setattr(os, "replace", replace)

    with pytest.raises(PqvError, match=r"last.safetensors: cannot be written: No space"):
        trainer(options, folders, tmp_path / "run", step=fill).run()
    monkeypatch.undo()
    resumed = trainer(options, folders, tmp_path / "run")
    resumed.resume()
    assert resumed.progress.step == 2
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_an_image_that_breaks_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    root = striped.make_folders(tmp_path / "data")
    options = recipe(tmp_path, "train.save_every=1")

    def spoil(done: int, total: int, loss: float) -> None:
        if done == 5:
            for path in (root / "train" / "down").iterdir():
                path.write_bytes(path.read_bytes()[:300])

    with pytest.raises(PqvError, match=r"down/\d.png: not an image that can be read"):
        trainer(options, root, tmp_path / "run", step=spoil).run()
    load_qat(tmp_path / "run" / "last.safetensors")
    whole = striped.make_folders(tmp_path / "whole")
    resumed = trainer(options, whole, tmp_path / "run")
    resumed.resume()
    assert resumed.progress.step == 5
    resumed.run()


@pytest.mark.parametrize("rounding", ["during", "weights-after"])
def test_an_image_to_evaluate_on_that_breaks_costs_no_epoch(
    rounding: str, folders: Path, tmp_path: Path
) -> None:
    options = rounded_after(tmp_path, rounding)
    trainer(options, folders, tmp_path / "whole").run()
    root = striped.make_folders(tmp_path / "data")
    bad = root / "validation" / "down" / "0.png"
    good = bad.read_bytes()
    for step in (4, 8):
        bad.write_bytes(good[:300])
        run = trainer(options, root, tmp_path / "run")
        if step == 8:
            run.resume()
            bad.write_bytes(good)
            run.report = Report(epoch=lambda _: bad.write_bytes(good[:300]))
        with pytest.raises(PqvError, match="down/0.png: not an image that can be read"):
            run.run()
        assert run.progress.step == step
    bad.write_bytes(good)
    resumed = trainer(options, root, tmp_path / "run")
    resumed.resume()
    assert resumed.progress.step == 8
    resumed.run()
    _assert_same_files(tmp_path / "whole", tmp_path / "run")


def test_mixed_precision_trains_close_to_float32(folders: Path, tmp_path: Path) -> None:
    losses = {}
    from accelerate.state import AcceleratorState

    for kind in ("no", "bf16"):
        AcceleratorState._reset_state(True)
        changes = ("train.max_steps=2", f"train.mixed_precision={kind}")
        seen: list[float] = []
        run = trainer(
            recipe(tmp_path, *changes), folders, tmp_path / kind,
            step=lambda done, total, loss, seen=seen: seen.append(loss),
        )  # fmt: skip
        run.run()
        losses[kind] = seen[-1]
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.2)
    assert losses["bf16"] != losses["no"]


def test_steps_and_vectors_have_no_weight_decay(folders: Path, tmp_path: Path) -> None:
    options = recipe(tmp_path)
    model = student(options, folders)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, options.train.optimizer)
    decayed = {
        names[id(p)] for group in optimizer.param_groups if group["weight_decay"]
        for p in group["params"]
    }  # fmt: skip
    everything = sum(len(group["params"]) for group in optimizer.param_groups)
    assert everything == len(names)
    assert decayed == {
        name
        for name in names.values()
        if name.endswith(("qkv.weight", "proj.weight", "fc1.weight", "fc2.weight", "head.weight"))
    }


def test_the_heads_of_a_distilled_model_learn_apart(folders: Path, tmp_path: Path) -> None:
    changes = (f"model={striped.DISTILLED}", "train.max_steps=2")
    run = trainer(recipe(tmp_path, *changes), folders, tmp_path / "run")
    before = run.model.head.difference.clone()
    run.run()
    assert not torch.equal(run.model.head.difference, before)
    saved = load_qat(tmp_path / "run" / "last.safetensors")
    assert saved.train()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)

    together = recipe(tmp_path, *changes, "train.distillation.token=false")
    run = trainer(together, folders, tmp_path / "together")
    run.run()
    assert torch.equal(run.model.head.difference, before)

    one_sided = recipe(tmp_path, *changes, "train.distillation.weight=1")
    with pytest.raises(PqvError, match="weight is 1.0: of the model's two heads only one"):
        trainer(one_sided, folders, tmp_path / "one")


def test_penalties_are_part_of_the_loss(folders: Path, tmp_path: Path) -> None:
    losses = {}
    for name in ("none", "residual", "oscillation"):
        weight = () if name == "none" else (f"train.regularization.{name}=10",)
        seen: list[float] = []
        run = trainer(
            recipe(tmp_path, "train.max_steps=2", *weight), folders, tmp_path / name,
            step=lambda done, total, loss, seen=seen: seen.append(loss),
        )  # fmt: skip
        run.run()
        losses[name] = seen[-1]
    assert losses["residual"] > losses["none"]
    assert losses["oscillation"] > losses["none"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.optimizer.name=no_such", "no_such"),
        ("train.batch_size=5", "multiple of 2"),
        ("train.batch_size=32", "found 16 training images"),
        ("train.batch_size=6", "even number"),
        ("train.augmentation.auto_augment=nonsense", "train.augmentation"),
        ("train.data.train_split=other", "no split other"),
        ("train.data.val_split=other", "no split other"),
        ("train.data.dataset=wds/none", "split train of wds/none"),
    ],
)
def test_a_recipe_that_does_not_fit(
    change: str, message: str, folders: Path, tmp_path: Path
) -> None:
    with pytest.raises(PqvError, match=message):
        trainer(recipe(tmp_path, change), folders, tmp_path / "run")


def test_a_teacher_that_does_not_fit_is_named(folders: Path, tmp_path: Path) -> None:
    options = recipe(tmp_path, "train.distillation.kind=hard")
    model = student(options, folders)
    teacher = FloatSource(seed=1).load(options.model)
    arguments = (str(folders), tmp_path, make_accelerator())
    teacher.pretrained_cfg["mean"] = (0.5, 0.5, 0.5)
    with pytest.raises(PqvError, match=r"teacher wants images of mean \(0.5, 0.5, 0.5\)"):
        Trainer(options, model, teacher, *arguments)
    other = create_timm(options.model, num_classes=3)
    with pytest.raises(PqvError, match="teacher has 3 classes, the model 2"):
        Trainer(options, model, other, *arguments)
