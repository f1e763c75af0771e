"""Recipes: what they say, and what is wrong with them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pqv_onnx.errors import PqvError
from pqv_onnx.spec import PRESETS, QuantSpec
from pqv_onnx.train.recipe import Recipe, load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "export" / "recipes").glob("*.toml"))
HEAD = 'model = "m"\nprecision = "w4a4"\n'


def load(folder: Path, text: str, *changes: str) -> Recipe:
    path = folder / "r.toml"
    path.write_text(text)
    return load_recipe(path, changes)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_valid(path: Path) -> None:
    recipe = load_recipe(path)
    name = f"{recipe.model}.{recipe.precision}"
    assert path.stem in (name, f"{name}.{recipe.train.epochs}_epochs")


BACKBONES = [
    family.format(size)
    for family, sizes in (
        ("deit_{}_patch16_224", ("tiny", "small", "base")),
        ("deit_{}_distilled_patch16_224", ("tiny", "small", "base")),
        ("vit_{}_patch16_224", ("small", "base")),
        ("swin_{}_patch4_window7_224", ("tiny", "small", "base")),
    )
    for size in sizes
]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("precision", PRESETS)
def test_every_backbone_has_a_training_recipe(backbone: str, precision: str) -> None:
    name = "w8a8" if precision == "w7a7" else precision
    (path,) = [path for path in RECIPES if path.name == f"{backbone}.{name}.toml"]
    assert "train" in tomllib.loads(path.read_text())
    assert load_recipe(path, [f"precision={precision}"]).spec.name == precision


def test_bits_of_layers(tmp_path: Path) -> None:
    text = HEAD + '[quantization]\nweight_bits = {"blocks.*.mlp.fc2" = 8}\n'
    assert load(tmp_path, text).spec.weight_bits == {"blocks.*.mlp.fc2": 8}
    for change, message in (
        ('quantization.weight_bits={"a" = 5}', "weight_bits of a is 5, not 4 or 7 or 8"),
        (
            'quantization.weight_bits={"a" = "8"}',
            "quantization.weight_bits.a is '8', expected a wh",
        ),
        ("quantization.weight_bits=8", "quantization.weight_bits is 8, expected a table"),
    ):
        with pytest.raises(PqvError, match=message):
            load(tmp_path, HEAD, change)


def test_defaults_and_changes(tmp_path: Path) -> None:
    recipe = load(tmp_path, HEAD)
    assert recipe.train.optimizer.name == "adamw"
    assert recipe.train.distillation.kind == "none"
    changed = load(
        tmp_path,
        HEAD + "[train]\nepochs = 3\n",
        "train.epochs=5",
        "train.optimizer.lr=1",
        "train.optimizer.name=sgd",
        'train.data.dataset="hfds/x"',
        "train.augmentation.scale=[0.5, 1]",
    )
    assert changed.train.epochs == 5
    assert changed.train.optimizer.lr == 1.0
    assert changed.train.optimizer.name == "sgd"
    assert changed.train.data.dataset == "hfds/x"
    assert changed.train.augmentation.scale == (0.5, 1.0)


def test_quantization_changes_the_preset(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD).spec == QuantSpec.preset("w4a4")
    recipe = load(tmp_path, HEAD + '[quantization]\nattention = "uniform"\n')
    assert recipe.spec == QuantSpec.preset("w4a4").with_schemes({"attention": "uniform"})
    same = load(tmp_path, HEAD, "quantization.gelu=grouped")
    assert same.spec == QuantSpec.preset("w4a4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('precision = "w4a4"', "found no key model"),
        (HEAD + "[trane]", "unknown key trane, expected one of model"),
        (HEAD + "[train]\nepoch = 1", "unknown key train.epoch, expected one of epochs"),
        (HEAD + "[train.optimizer]\nlearning_rate = 1", "unknown key train.optimizer.learning_ra"),
        (HEAD + "[train]\nepochs = 1.5", "train.epochs is 1.5, expected a whole number"),
        (HEAD + "[train]\nepochs = true", "train.epochs is True, expected a whole number"),
        (HEAD + "[train]\nepochs = 0", "train.epochs is 0, expected 1 or more"),
        (HEAD + "[train]\noptimizer = 3", "train.optimizer is 3, expected a table"),
        (
            HEAD + "[train]\nrounding = 'weights-after'\nregularization.oscillation = 0.1",
            "train.regularization.oscillation is of weights that are rounded, expected 0",
        ),
        (
            HEAD + "[train]\nrounding = 'after'\nregularization.residual = 0.1",
            "train.regularization.residual is of values that are rounded, expected 0",
        ),
        (HEAD + "[train]\nema = 1.5", "train.ema is 1.5, expected 0 to 1"),
        (HEAD + "[train.augmentation]\nscale = [1]", "expected a list of 2 values"),
        (HEAD + "[train.distillation]\nkind = 'warm'", "'warm', expected none or soft or hard"),
        (HEAD + "[train.distillation]\ntemperature = 0", "temperature is 0.0, expected above 0"),
        (HEAD + "[train.optimizer]\nlr = inf", "lr is inf, expected a finite number"),
        (HEAD + "[train.optimizer]\nlr = nan", "lr is nan, expected above 0"),
        (HEAD + "[train.optimizer]\nclip_grad = -1", "clip_grad is -1.0, expected 0 or more"),
        (HEAD + "[train.schedule]\nwarmup_epochs = -1", "epochs is -1, expected 0 or more"),
        (HEAD + "[train.schedule]\nwarmup_epochs = 1", "1, expected fewer than train.epochs, 1"),
        (HEAD + "[train.augmentation]\nhflip = 2", "hflip is 2.0, expected 0 to 1"),
        (HEAD + "[train.augmentation]\nmixup = -1", "mixup is -1.0, expected 0 or more"),
        (HEAD + "[train.augmentation]\nscale = [1, 0.5]", "scale is [1.0, 0.5], expected 0 < sm"),
        (
            HEAD.replace("w4a4", "w3a3"),
            "precision is 'w3a3', expected w8a8 or w7a7 or w4a8 or w4a4",
        ),
        (HEAD + "[train.regularization]\nresidual = -1", "residual is -1.0, expected 0 or more"),
        (HEAD + "[quantization]\ngelu = 'flat'", "gelu is 'flat', expected grouped or asym"),
        (HEAD + "[quantization]\nweight = 'flat'", "unknown key quantization.weight"),
        ("model =", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PqvError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "r.toml") in str(caught.value)


def test_bad_changes_and_files(tmp_path: Path) -> None:
    with pytest.raises(PqvError, match="unknown key train.epoch"):
        load(tmp_path, HEAD, "train.epoch=1")
    with pytest.raises(PqvError, match="KEY=VALUE"):
        load(tmp_path, HEAD, "train.epochs")
    with pytest.raises(PqvError, match="model is no table"):
        load(tmp_path, HEAD, "model.name=1")
    with pytest.raises(PqvError, match="there is no such file"):
        load_recipe(tmp_path / "missing.toml")
