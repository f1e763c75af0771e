"""The way of a model on the command line, as docs/training.md shows it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

import onnxruntime  # noqa: E402
import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import (  # noqa: E402
    EventAccumulator,
)

ROOT = Path(__file__).parents[2]
TRAIN_TESTS = ROOT / "tests" / "train"
sys.path.insert(0, str(TRAIN_TESTS))

import striped  # noqa: E402

from pqv_onnx.checkpoint import load_qat  # noqa: E402

IMAGENET = ROOT / "export" / "recipes" / "deit_tiny_patch16_224.w4a4.300_epochs.toml"
TINY = (
    *("--set", f"model={striped.NAME}"),
    *("--set", 'imports=["striped"]'),
    *("--set", "train.batch_size=8"),
    *("--set", "train.calibration_images=8"),
    *("--set", "train.data.workers=0"),
)
"""What makes the ImageNet recipe fit sixteen images and a tiny model."""


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    yield
    AcceleratorState._reset_state(True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return striped.make_folders(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float weights as people have them: a state dict in a .pth file."""
    from pqv_onnx.train.models import FloatSource

    path = tmp_path_factory.mktemp("weights") / "float.pth"
    torch.save({"model": FloatSource(seed=0).load(striped.NAME).state_dict()}, path)
    return path


def test_calibrate_train_eval_export_verify(pqv, data: Path, weights: Path, tmp_path: Path) -> None:
    calibrated, run, model = tmp_path / "cal.safetensors", tmp_path / "run", tmp_path / "m.onnx"
    result = tmp_path / "result.json"
    given = ("--weights", weights, "--data", data)

    done = pqv(
        "calibrate", "--model", striped.NAME, "--import", "striped", *given,
        "--precision", "w4a4", "--images", 12, "--steps", 3, "-o", calibrated, "--json", result,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "calibrated on 12 images" in done.out
    assert json.loads(result.read_text())["images"] == 12

    done = pqv(
        "-v", "train", "--recipe", IMAGENET, *TINY, *given, "--calibrated", calibrated, "-o", run,
        "--set", "train.max_steps=2", "--tensorboard", "--json", result,
    )  # fmt: skip
    assert done.code == 0, done.err
    trained = json.loads(result.read_text())
    assert trained["step"] == 2 and trained["images"] == 16
    assert all(f": {step} of 2\n" in done.err for step in (1, 2)) and " loss " in done.err
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("step/loss")] == [1, 2]
    assert [event.value for event in board.Scalars("epoch/top1")] == [trained["top1"]]

    checkpoint = run / "last.safetensors"
    done = pqv("export", "--checkpoint", checkpoint, "-o", model, "--input", "uint8")
    assert done.code == 0, done.err
    done = pqv("verify", model, "--checkpoint", checkpoint, "--batch", 1)
    assert done.code == 0, done.err

    done = pqv(
        "eval", weights, calibrated, checkpoint, model, "--integer", "--functions",
        "--model", striped.NAME, "--import", "striped", "--data", data, "--json", result,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(result.read_text())["results"]
    kinds = [entry["kind"] for entry in found]
    assert found[3]["name"] == str(checkpoint)
    quantized = ["fake-quantized", "integer"]
    assert kinds == ["float", *quantized, *quantized, "onnx, library", "onnx, functions"]
    assert found[3]["top1"] == trained["top1"]
    assert found[4]["top1"] == found[5]["top1"] == found[6]["top1"]
    assert all(kind in done.out for kind in kinds)
    assert all(words in done.out for words in ("same class", "cosine", "SQNR, dB", str(weights)))
    near = [entry["agreement"] for entry in found]
    assert near[0] is None and all(entry["reference"] == str(weights) for entry in near[1:])
    assert near[4] == near[5] == near[6]  # the integer model in every way of running it
    assert near[3]["cosine"] > 0.5


def test_accuracy_is_written_into_the_file(pqv, data: Path, tmp_path: Path) -> None:
    checkpoint, model = tmp_path / "c.safetensors", tmp_path / "m.onnx"
    result = tmp_path / "r.json"
    given = ("--import", "striped", "--data", data)
    float_one = ("--model", striped.NAME, "--random-weights", 0)
    assert (
        pqv("calibrate", *float_one, *given, "--images", 8, "--quick", "-o", checkpoint).code == 0
    )
    assert pqv("export", "--checkpoint", checkpoint, "-o", model).code == 0
    assert "top-1               not stated" in pqv("inspect", model).out

    done = pqv("eval", model, *float_one, *given, "--write-accuracy", "--json", result)
    assert done.code == 0, done.err
    other, own = json.loads(result.read_text())["results"]
    assert own["agreement"]["reference"] == other["name"] == f"{striped.NAME}, random weights 0"
    runtime = f"onnxruntime {onnxruntime.__version__}"
    words = f"{own['top1']:.2f}% of 16 images ({data.name}, validation; {runtime})"
    assert f"{model}: states {words}" in done.out
    for command in (("inspect", model), ("info", model), ("run", model, "--random", 0)):
        assert words in pqv(*command, "--json", result).out
        found = json.loads(result.read_text())
        stated = found.get("accuracy") or found["model"]["accuracy"]
        assert stated == {
            "top1": own["top1"],
            "images": 16,
            "dataset": f"{data.name}, validation",
            "runtime": runtime,
        }
    assert pqv("verify", model, "--checkpoint", checkpoint, "--batch", 1).code == 0

    named = ("--write-accuracy", "--data-name", "stripes")
    assert "16 images (stripes; " in pqv("eval", model, *given, *named).out
    before = model.read_bytes()
    assert "is for .onnx files" in pqv("eval", checkpoint, *given, "--write-accuracy").error
    assert "no such folder" in pqv("eval", model, "--data", tmp_path / "none", *named).error
    assert pqv("eval", model, *given, "--data-name", "stripes").code == 2
    flat = ("--import", "striped", "--data", next((data / "train").iterdir()), "--json", result)
    assert "images in their folders" in pqv("eval", model, *flat, "--write-accuracy").error
    assert pqv("eval", model, *given, "--random-weights", 0).code == 2
    assert model.read_bytes() == before


def test_labels_go_into_the_file(pqv, data: Path, weights: Path, tmp_path: Path) -> None:
    checkpoint, model, result = tmp_path / "c.safetensors", tmp_path / "m.onnx", tmp_path / "r.json"
    made = ("calibrate", "--model", striped.NAME, "--import", "striped", "--weights", weights)
    made += ("--data", data, "--images", 8, "--quick", "-o", checkpoint)
    assert pqv(*made).code == 0
    assert pqv("export", "--checkpoint", checkpoint, "-o", model).code == 0
    done = pqv("run", model, data / "train" / "across" / "0.png", "--json", result)
    top = json.loads(result.read_text())["results"][0]["top"]
    assert sorted((entry["class"], entry["label"]) for entry in top) == [(0, "across"), (1, "down")]
    lines = [f"{100 * entry['probability']:6.2f}%  {entry['label']}" for entry in top]
    assert [line.removeprefix("  ") for line in done.out.splitlines()[1:]] == lines

    names = tmp_path / "names.txt"
    names.write_text("quer\nl\u00e4ngs\n", "utf-8")
    export = ("export", "--checkpoint", checkpoint, "-o", model, "--labels", names)
    assert pqv(*export).code == 0
    assert "l\u00e4ngs" in pqv("run", model, "--random", 0).out
    assert pqv(*made, "--labels", names).code == 0
    assert pqv("export", "--checkpoint", checkpoint, "-o", model).code == 0
    assert "quer" in pqv("run", model, "--random", 0).out
    before = model.read_bytes()
    for text, reason in (
        ("a\n", "found 1 labels, the model has 2 classes"),
        ("a\n\nb\n", "line 2 is empty"),
        ("", "is empty, expected one label a line"),
    ):
        names.write_text(text)
        assert reason in pqv(*export).error
    assert model.read_bytes() == before


def test_other_classes_than_the_data_has(pqv, data: Path, weights: Path, tmp_path: Path) -> None:
    three = tmp_path / "three"
    shutil.copytree(data, three)
    for split in ("train", "validation"):
        shutil.copytree(three / split / "down", three / split / "slanted")
    words = "found 3 classes (across, down, slanted), the model has 2; --num-classes 3 of pqv train"
    own = ("--data", three, "--weights", weights)
    train = ("train", "--recipe", IMAGENET, *TINY, *own, "-o", tmp_path / "run")
    assert words in pqv(*train).error
    named = ("--model", striped.NAME, "--import", "striped", "--data", three)
    assert words in pqv("eval", weights, *named).error
    assert "has nothing to teach" in pqv(*train, "--num-classes", 3).error

    alone = ("--set", "train.distillation.kind=none", "--set", "train.max_steps=1")
    done = pqv(*train, "--num-classes", 3, *alone)
    assert done.code == 0, done.err
    checkpoint = tmp_path / "run" / "last.safetensors"
    assert load_qat(checkpoint).config.labels == ("across", "down", "slanted")
    done = pqv("eval", checkpoint, *named, "--random-weights", 0, "--num-classes", 3)
    assert done.code == 0, done.err


def test_bits_by_sensitivity(pqv, data: Path, weights: Path, tmp_path: Path) -> None:
    mixed, model, result = tmp_path / "mixed.safetensors", tmp_path / "m.onnx", tmp_path / "r.json"
    given = ("--weights", weights, "--data", data)
    calibrate = (
        "calibrate", "--model", striped.NAME, "--import", "striped", *given, "--images", 8,
        "--quick", "--precision", "w8a8", "--json", result,
    )  # fmt: skip
    done = pqv(*calibrate, "--sensitivity")
    assert done.code == 0, done.err
    assert "blocks.1.mlp.fc2" in done.out and "SQNR" in done.out
    layers = json.loads(result.read_text())["sensitivity"]["layers"]
    assert len(layers) == 8 and all(layer["error"] >= 0 for layer in layers)
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]

    done = pqv(*calibrate, "--size-budget", "80%", "-o", mixed)
    assert done.code == 0, done.err
    chosen = json.loads(result.read_text())
    assert set(chosen["weight_bits"].values()) == {4, 8}
    assert "4-bit weights in" in done.out and chosen["precision"] in done.out
    assert "as .safetensors" in pqv(*calibrate, "--size-budget", "80%", "-o", model).error
    small = pqv(*calibrate, "--size-budget", "1%", "-o", tmp_path / "small.safetensors")
    assert "4-bit weights everywhere take" in small.error
    assert not (tmp_path / "small.safetensors").exists()

    run = tmp_path / "run"
    train = ("train", "--recipe", IMAGENET, *TINY, *given, "--set", "train.max_steps=1")
    train = (*train, "--calibrated", mixed, "--set", "precision=w8a8")
    assert pqv(*train, "-o", run).code == 0
    AcceleratorState._reset_state(True)
    train = (*train, "-o", tmp_path / "other")
    other = 'quantization.weight_bits={"blocks.0.*"=4}'
    assert "the recipe's is w8a8, 4-bit weights in 4 layers" in pqv(*train, "--set", other).error

    done = pqv("export", "--checkpoint", run / "last.safetensors", "-o", model, "--json", result)
    assert done.code == 0, done.err
    found = json.loads(result.read_text())["weight_bits"]
    assert {name: found[name] for name in chosen["weight_bits"]} == chosen["weight_bits"]
    assert pqv("verify", model, "--batch", 1, "--checkpoint", run / "last.safetensors").code == 0
    for path in (mixed, model):
        assert "blocks.1" in pqv("inspect", path).out


def test_pictures_of_a_checkpoint(pqv, data: Path, weights: Path, tmp_path: Path) -> None:
    """Of a QAT checkpoint and of float weights; nothing is left of what fails."""
    calibrated, pictures = tmp_path / "c.safetensors", tmp_path / "pictures"
    given = ("--data", data, "--import", "striped")
    model = ("--model", striped.NAME)
    done = pqv(
        "calibrate",
        *model,
        *given,
        "--weights",
        weights,
        "--images",
        8,
        "--quick",
        "-o",
        calibrated,
    )
    assert done.code == 0, done.err
    plots = ("--plots", pictures, *given, "--images", 4)
    for arguments in ((calibrated,), (weights, *model, "--precision", "w8a8")):
        done = pqv("inspect", *arguments, *plots)
        assert done.code == 0, done.err
        assert "gelu.png" in done.out
        names = ["attention.png", "gelu.png", "residual.png"]
        assert sorted(path.name for path in pictures.iterdir()) == names
    assert "give --plots and --model" in pqv("inspect", weights).error
    (tmp_path / "cat.jpg").touch()
    error = pqv("inspect", tmp_path / "cat.jpg").error
    assert "cat.jpg: is neither an .onnx file nor a checkpoint (.safetensors, .pth, .pt)" in error
    assert "no such file" in pqv("inspect", tmp_path / "none.safetensors", *plots).error
    assert "is a folder, not a file" in pqv("inspect", tmp_path).error
    assert "cannot be made" in pqv("inspect", calibrated, "--plots", calibrated / "x").error
    missing = ("--plots", tmp_path / "other", "--data", tmp_path / "none")
    assert "no such folder" in pqv("inspect", calibrated, *missing).error
    assert not (tmp_path / "other").exists()


def test_resume_and_bad_input(
    pqv, data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    train = ("train", "--recipe", IMAGENET, *TINY, "--data", data, "-o", run)
    assert "no run to resume" in pqv(*train, "--weights", weights, "--resume").error
    two = ("--set", "train.max_steps=2")
    assert pqv(*train, "--weights", weights, *two).code == 0
    AcceleratorState._reset_state(True)
    one_more = ("--set", "train.max_steps=3", "--json", tmp_path / "result.json")
    with monkeypatch.context() as without:  # resuming calibrates nothing again
        without.setattr("pqv_onnx.train.calibration.quantize", None)
        assert pqv(*train, "--weights", weights, "--resume", *one_more).code == 0
    assert json.loads((tmp_path / "result.json").read_text())["step"] == 3

    assert "holds a run already" in pqv(*train, "--weights", weights).error

    (run / "state.pt").unlink()
    assert "holds a run already" in pqv(*train, "--weights", weights).error

    train = (*train[:-1], tmp_path / "other")
    assert "no such file" in pqv(*train, "--weights", tmp_path / "none.pth").error
    distilled = f"model={striped.DISTILLED}"
    another = pqv(*train, "--calibrated", run / "last.safetensors", "--set", distilled,
                  "--random-weights", 0)  # fmt: skip
    assert f"is a {striped.NAME}, the recipe's model is {striped.DISTILLED}" in another.error
    assert "unknown key train.epoch" in pqv(*train, "--set", "train.epoch=1").error
    for change in ("precision=w8a8", "quantization.gelu=symmetric"):
        other = ("--weights", weights, "--set", change, "--calibrated")
        assert "is w4a4, the recipe's is w" in pqv(*train, *other, run / "last.safetensors").error
    assert "w4a4.toml" in pqv("train", "--recipe", tmp_path / "w4a4.toml", "-o", run).error
    model = ("calibrate", "--model", striped.NAME, "-o", tmp_path / "m.safetensors")
    missing = ("--random-weights", 0, "--data", tmp_path / "none")
    assert "no such folder" in pqv(*model, *missing).error
    assert "no_such" in pqv(*model, "--random-weights", 0, "--import", "no_such").error
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text("1 / 0")
    broken = pqv(*model, "--random-weights", 0, "--import", "broken_module").error
    assert "broken_module cannot be imported: ZeroDivisionError" in broken
    assert not (tmp_path / "other").exists(), "a run that was refused leaves its folder"
    assert "none.onnx" in pqv("eval", tmp_path / "none.onnx").error
    assert "--model" in pqv("eval", weights, "--data", data).error


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", "--model", "m", "-o", "m.safetensors"),
        ("calibrate", "--model", "m", "-o", "m.safetensors", "--weights", "a", "--pretrained"),
        ("calibrate", "--model", "m", "--weights", "a"),
        ("calibrate", "--model", "m", "--weights", "a", "--sensitivity", "--size-budget", "60%"),
        ("calibrate", "--model", "m", "--weights", "a", "--size-budget", "60 percent", "-o", "m"),
        ("calibrate", "--model", "m", "--weights", "a", "--size-budget", "inf", "-o", "m"),
        ("train", "-o", "run"),
        ("eval",),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], pqv) -> None:
    done = pqv(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["calibrate", "train", "eval"])
def test_help_has_an_example(command: str, pqv) -> None:
    done = pqv(command, "--help")
    assert done.code == 0
    assert "Example: " in done.out and f"pqv {command}" in done.out and "--json" in done.out


def test_digits(pqv, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    digits = ("--dataset", "digits", "--import", "pqv_onnx.train.digits")
    checkpoint = tmp_path / "digits.safetensors"
    done = pqv(
        "calibrate", "--model", "vit_digits_patch8_32", "--random-weights", 0, *digits,
        "--precision", "w8a8", "--images", 16, "--quick", "--no-bias-correction", "-o", checkpoint,
    )  # fmt: skip
    assert done.code == 0, done.err
    done = pqv("eval", checkpoint, *digits)
    assert done.code == 0, done.err
    assert "364 images" in done.out


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


LAUNCHERS = {
    "accelerate": (
        *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        "--main_process_port",
    ),
    "torchrun": ("torch.distributed.run", "--nproc-per-node", "2", "--master-port"),
}
"""How two processes are started; a free port comes behind."""


def launch(name: str, *arguments: object) -> None:
    command = (sys.executable, "-m", *LAUNCHERS[name], free_port(), "-m", "pqv_onnx.cli.main")
    paths = [str(ROOT), str(TRAIN_TESTS), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_train_and_evaluate_as_one_does(
    pqv, data: Path, weights: Path, tmp_path: Path
) -> None:
    """Whichever launcher starts them: one trains and rounds weights, the other evaluates."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    result, run = tmp_path / "two.json", tmp_path / "run"
    train = ("train", "--recipe", IMAGENET, *TINY, "--data", data, "--weights", weights)
    for change in ("max_steps=1", "rounding=after", "rounding_steps=1"):
        train = (*train, "--set", f"train.{change}")
    train = (*train, "-o", run, "--json", result)
    launch("accelerate", *train)
    trained = json.loads(result.read_text())
    assert trained["processes"] == 2 and trained["step"] == 1 and trained["images"] == 16

    evaluate = ("eval", run / "last.safetensors", "--data", data, "--json", result)
    found = []
    launch("torchrun", *evaluate)
    found.append(json.loads(result.read_text()))
    assert pqv(*evaluate).code == 0
    found.append(json.loads(result.read_text()))
    assert [each["processes"] for each in found] == [2, 1]
    for each in found:
        assert [each["results"][0][key] for key in ("top1", "top5", "images")] == [
            trained[key] for key in ("top1", "top5", "images")
        ]


def test_without_tensorboard(pqv, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    given = ("--random-weights", 0, "--data", data, "-o", tmp_path / "run")
    done = pqv("train", "--recipe", IMAGENET, *TINY, *given, "--tensorboard")
    assert "pip install tensorboard" in done.error
    assert not (tmp_path / "run").exists()
