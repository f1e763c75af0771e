"""Files of standard ops on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image


def test_a_qdq_file_is_run_inspected_and_verified(
    pqv, tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint, model, result = tiny_checkpoint["w4a4"], tmp_path / "m.onnx", tmp_path / "v.json"
    done = pqv("export", "--checkpoint", checkpoint, "--format", "qdq", "-o", model)
    assert done.code == 0, done.err
    assert "standard ops, qdq" in done.out
    assert pqv("run", model, "--random", 0).code == 0
    done = pqv("inspect", model)
    assert done.code == 0 and "QuantizeLinear" in done.out, done.err
    assert pqv("bench", model, "--runs", 1, "--warmup", 1).code == 0
    assert "--checkpoint" in pqv("verify", model).error
    done = pqv("verify", model, "--checkpoint", checkpoint, "--json", result)
    assert done.code == 0, done.err
    assert "blocks.0.norm1.quantizer" in done.out
    values = json.loads(result.read_text())["values"]
    assert values[0] == {"name": "quantizer", "equal": 1.0, "sqnr": None}
    assert values[-1]["name"] == "logits"


def test_a_float_file_of_photos_gives_classes(
    pqv, tiny_checkpoint: dict[str, Path], tmp_path: Path
) -> None:
    checkpoint, model = tiny_checkpoint["w4a4"], tmp_path / "m.onnx"
    given = ("export", "--checkpoint", checkpoint, "--format", "float", "-o", model)
    done = pqv(*given, "--embedding", "int8")
    assert done.code == 2 and "goes with --format integer" in done.err
    assert not model.exists()
    assert pqv(*given, "--input", "image", "--top-k", 2).code == 0
    Image.new("RGB", (30, 20), "red").save(tmp_path / "x.png")
    assert "%" in pqv("run", model, tmp_path / "x.png").out
    assert "logits" in pqv("verify", model, "--checkpoint", checkpoint).out


def test_the_ending_of_a_name_does_not_matter(pqv, tiny_checkpoint, tmp_path: Path) -> None:
    for name in ("m.json", "m.txt", "m.textproto"):
        done = pqv("export", "--checkpoint", tiny_checkpoint["w4a4"], "-o", tmp_path / name)
        assert done.code == 0, done.err
        assert pqv("run", tmp_path / name, "--random", 0).code == 0
