"""``pqv models``: names that conversion takes, a sentence for each other one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("timm")

import timm

from pqv_onnx.cli import models
from pqv_onnx.cli.models import check_support, model_names
from pqv_onnx.errors import PqvError
from pqv_onnx.qat.convert import describe
from tests.cli.conftest import Pqv


def test_deit(pqv: Pqv, tmp_path: Path) -> None:
    """The whole list is in the table and the file; progress is not in the output."""
    file = tmp_path / "models.json"
    done = pqv("models", "--filter", "deit_tiny_*", "--json", file)
    assert done.code == 0, done.err
    names = ["deit_tiny_distilled_patch16_224", "deit_tiny_patch16_224"]
    assert json.loads(file.read_text()) == {"supported": names, "refused": {}}
    assert all(name in done.out for name in names)
    assert "2 of 2 can be converted" in done.out
    assert "models" not in done.out


def test_refusals_are_those_of_conversion(pqv: Pqv, tmp_path: Path) -> None:
    """Word by word, of the model as timm makes it."""
    file = tmp_path / "models.json"
    done = pqv("models", "--filter", "vit_tiny_*", "--json", file)
    assert done.code == 0, done.err
    result = json.loads(file.read_text())
    assert "vit_tiny_patch16_224" in result["supported"]
    assert set(result["supported"]).isdisjoint(result["refused"])
    assert [*sorted(result["supported"] + list(result["refused"]))] == timm.list_models(
        "vit_tiny_*"
    )
    hybrid = "vit_tiny_r_s16_p8_224"
    with pytest.raises(PqvError) as refusal:
        describe(timm.create_model(hybrid))
    assert result["refused"][hybrid] == str(refusal.value)
    assert hybrid in done.out and str(refusal.value) in done.out


def test_names() -> None:
    names = model_names(None)
    assert names == sorted(set(names))
    assert len(names) > 250
    for name in ("swin_tiny_patch4_window7_224", "naflexvit_base_patch16_gap", "flexivit_small"):
        assert name in names
    assert "resnet50" not in names
    assert model_names("resnet5[0]") == ["resnet50"]


def test_every_name_is_reported() -> None:
    reported = []
    support = check_support(["deit_tiny_patch16_224"] * 2, lambda: reported.append(1))
    assert (len(support.supported), len(reported)) == (2, 2)


def test_processes_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the names."""
    names = ["vit_tiny_r_s16_p8_224", "deit_tiny_patch16_224"]
    alone = check_support(names)
    monkeypatch.setattr(models, "_NAMES_PER_PROCESS", 1)
    monkeypatch.setattr(models.os, "cpu_count", lambda: 2)
    assert check_support(names) == alone
    assert alone.supported == names[1:] and list(alone.refused) == names[:1]


def test_image_size(pqv: Pqv, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    done = pqv(
        "models", "--filter", "vit_small_patch14_dinov2", "--image-size", 224, "--json", file
    )
    assert json.loads(file.read_text())["supported"] == ["vit_small_patch14_dinov2"]
    done = pqv(
        "models", "--filter", "vit_small_patch14_dinov2", "--image-size", 225, "--json", file
    )
    assert done.code == 0
    reason = json.loads(file.read_text())["refused"]["vit_small_patch14_dinov2"]
    assert reason.endswith("do not divide images of 225: the nearest sizes are 224 and 238")


def test_bad_filter(pqv: Pqv, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    error = pqv("models", "--filter", "restnet*", "--json", file).error
    assert "--filter is 'restnet*', which none of timm's models matches" in error
    assert not file.exists()


def test_unwritable_file_comes_first(pqv: Pqv, tmp_path: Path) -> None:
    error = pqv("models", "--json", tmp_path / "missing" / "models.json").error
    assert "there is no folder" in error
