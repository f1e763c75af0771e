"""What each command does when all is well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pqv_onnx.cli.export import Precision
from pqv_onnx.demo.model import MODEL_NAME
from pqv_onnx.runtime.info import library_info
from pqv_onnx.spec import PRESETS

COMMANDS = (
    "quantize",
    "calibrate",
    "train",
    "eval",
    "export",
    "run",
    "verify",
    "bench",
    "inspect",
    "info",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, pqv) -> None:
    done = pqv(command, "--help")
    assert done.code == 0
    assert "Example: " in done.out and f"pqv {command}" in done.out and "--json" in done.out


def test_info_names_library_and_variants(pqv, tmp_path: Path) -> None:
    done = pqv("info", "--json", tmp_path / "info.json")
    assert done.code == 0, done.err
    info = json.loads((tmp_path / "info.json").read_text())
    assert info["library"]["selected"] in info["library"]["available"]
    assert "scalar" in info["library"]["available"]
    assert Path(info["library"]["path"]).is_file()
    assert info["packages"]["onnxruntime"]


@pytest.mark.parametrize("precision", ["w8a8", "w4a4"])
def test_export_and_verify_a_checkpoint(
    precision: str, pqv, tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    model, result = tmp_path / "m.onnx", tmp_path / "r.json"
    done = pqv("export", "--checkpoint", tiny_checkpoint[precision], "-o", model, "--json", result)
    assert done.code == 0, done.err
    assert json.loads(result.read_text())["float_nodes"] == []
    done = pqv("verify", model, "--checkpoint", tiny_checkpoint[precision], "--json", result)
    assert done.code == 0, done.err
    assert "is bit-exact" in done.out
    report = json.loads(result.read_text())
    assert report["bit_exact"] is True
    assert {c["batch"] for c in report["comparisons"]} == {1, 3}


def test_export_without_fusion(pqv, tiny_checkpoint: dict[str, Path], tmp_path: Path) -> None:
    model, result = tmp_path / "m.onnx", tmp_path / "r.json"
    done = pqv(
        *("export", "--checkpoint", tiny_checkpoint["w4a4"], "--no-fuse"),
        *("-o", model, "--json", result),
    )
    assert done.code == 0, done.err
    ops = json.loads(result.read_text())["ops"]["pqv"]
    assert ops["IntMatMul"] == ops["IntSoftmax2n"] == ops["IntWeightedMean"] == 2
    assert "IntAttention" not in ops
    assert pqv("verify", model, "--checkpoint", tiny_checkpoint["w4a4"]).code == 0


def test_export_keeps_the_checkpoints_hash(
    pqv, tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    import hashlib

    model, result = tmp_path / "m.onnx", tmp_path / "r.json"
    pqv("export", "--checkpoint", tiny_checkpoint["w8a8"], "-o", model, "--json", result)
    digest = hashlib.sha256(tiny_checkpoint["w8a8"].read_bytes()).hexdigest()
    assert json.loads(result.read_text())["metadata"]["pqv.checkpoint_sha256"] == digest


def test_export_of_random_weights_is_reproducible(pqv, tmp_path: Path) -> None:
    flags = ("export", "--model", MODEL_NAME, "--precision", "w4a4")
    for name in ("a.onnx", "b.onnx"):
        done = pqv(*flags, "--random-weights", 3, "-o", tmp_path / name)
        assert done.code == 0, done.err
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("precision", PRESETS)
def test_every_precision_exports_and_verifies(precision: str, pqv, tmp_path: Path) -> None:
    assert set(Precision) == set(PRESETS)
    model, result = tmp_path / "m.onnx", tmp_path / "r.json"
    flags = ("--model", MODEL_NAME, "--random-weights", 3, "--precision", precision)
    done = pqv("export", *flags, "-o", model, "--json", result)
    assert done.code == 0, done.err
    found = json.loads(result.read_text())
    assert found["metadata"]["pqv.precision"] == precision
    inside = {name: bits for name, bits in found["weight_bits"].items() if "blocks." in name}
    assert len(inside) == 4 * 4  # qkv, proj, fc1, fc2 of four blocks
    assert set(inside.values()) == {4 if precision.startswith("w4") else 8}
    done = pqv("verify", model, "--batch", 2)
    assert done.code == 0, done.err
    assert "is bit-exact" in done.out


def test_schemes_of_random_weights(pqv, tmp_path: Path) -> None:
    model, result = tmp_path / "m.onnx", tmp_path / "result.json"
    flags = ("export", "--model", MODEL_NAME, "--random-weights", 3, "-o", model)
    done = pqv(*flags, "--scheme", "attention=uniform", "--scheme", "residual=per-tensor")
    assert done.code == 0, done.err
    assert pqv("inspect", model, "--json", result).code == 0
    found = json.loads(result.read_text())["metadata"]["pqv.precision"]
    assert found == "w4a4, residual 8 bits per-tensor, attention 8 bits uniform"
    assert "scheme of gelu is 'flat'" in pqv(*flags, "--scheme", "gelu=flat").error
    assert pqv(*flags, "--scheme", "gelu").code == 2


def test_verify_takes_images(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    images = tmp_path / "images.npy"
    np.save(images, np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32))
    done = pqv("verify", tiny_onnx["w4a4"], "--images", images, "--batch", 2)
    assert done.code == 0, done.err


@pytest.mark.parametrize("isa", library_info()["variants"])
def test_verify_keeps_to_a_forced_isa(
    isa: str, pqv, tiny_onnx: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isa not in library_info()["available"]:
        pytest.skip(f"this CPU has no {isa}")
    monkeypatch.setenv("PQV_ISA", isa)
    before = library_info()["runs"]
    done = pqv("verify", tiny_onnx["w4a4"])
    assert done.code == 0, done.err
    info = library_info()
    assert info["selected"] == isa
    assert {name for name, runs in info["runs"].items() if runs > before[name]} == {isa}


def test_run_classifies_image_files(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    picture, result = tmp_path / "[picture].png", tmp_path / "r.json"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    done = pqv("run", tiny_onnx["w8a8"], picture, "--top", 3, "--json", result)
    assert done.code == 0, done.err
    assert str(picture) in done.out
    (entry,) = json.loads(result.read_text())["results"]
    assert len(entry["top"]) == 3
    assert entry["top"][0]["class"] == int(np.argmax(entry["logits"]))


def test_run_with_and_without_the_library(pqv, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    results = []
    for flags in ((), ("--functions",)):
        result = tmp_path / "r.json"
        done = pqv("run", tiny_onnx["w4a4"], "--random", 5, *flags, "--json", result)
        assert done.code == 0, done.err
        results.append(json.loads(result.read_text()))
    assert results[0] == results[1]


def test_inspect_shows_ops_and_bits(pqv, tiny_onnx: dict[str, Path]) -> None:
    done = pqv("inspect", tiny_onnx["w4a4"])
    assert done.code == 0, done.err
    for text in ("PackedInt4MatMul", "IntAttention", "float nodes inside  0", "pqv.scheme"):
        assert text in done.out
