"""Files that command lines name: good ones, and bad ones of every kind."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.runtime.hostile import NESTED, png_of_size

_PQV = "from pqv_onnx.cli.main import main; main()"
RECIPE = """\
model = "test_vit"
precision = "w4a4"

[train]
epochs = 1
max_steps = 2
batch_size = 4
calibration_images = 4

[train.data]
workers = 0

[train.optimizer]
name = "adamw"
lr = 1e-5
"""
_CALIBRATE = ["calibrate", "--model", "test_vit", "--random-weights", "0", "--num-classes", "2"]


def valid(folder: Path) -> dict[str, str]:
    """Paths of a model, its checkpoint, a data set and what else commands take, made if need be."""
    names = {
        "data": "photos",
        "image": "photos/train/cat/0.png",
        "recipe": "recipe.toml",
        "labels": "labels.txt",
        "checkpoint": "c.safetensors",
        "model": "m.onnx",
    }
    if not (folder / "photos").exists():
        write_photos(folder / "photos", 4, "train", "validation")
        (folder / "recipe.toml").write_text(RECIPE)
        (folder / "labels.txt").write_text("cat\ndog\n")
        _pqv(folder, *_CALIBRATE, "--data", "photos", "--quick", "-o", "c.safetensors")
        _pqv(folder, "export", "--checkpoint", "c.safetensors", "-o", "m.onnx")
    return {name: str(folder / path) for name, path in names.items()}


def write_photos(folder: Path, count: int, *splits: str) -> None:
    """A data set of two classes of noise, of one split without a name or of some."""
    rng = np.random.default_rng(0)
    for split in splits or ("",):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


def _pqv(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", _PQV, "-q", *arguments], cwd=folder, check=True)


def hostile(folder: Path) -> list[str]:
    """Paths of what no command can use, made if need be; some are not there."""
    place = folder / "hostile"
    if not place.exists():
        place.mkdir()
        _special(place)
        for name, content in _contents(folder).items():
            (place / name).write_bytes(content)
    found = [str(path) for path in sorted(place.iterdir())]
    missing = [str(place / name) for name in ("none", "none.onnx", "none/m.onnx", "n" * 300)]
    return [*found, *missing, os.devnull, "/dev/full", "/dev/zero", "/proc/self/mem", str(folder)]


def _special(place: Path) -> None:
    """Folders and links."""
    for name in ("folder", "folder.onnx", "folder.safetensors", "[b]x.png"):
        (place / name).mkdir()
    write_photos(place / "other classes", 1, "train", "validation")
    (place / "other classes" / "train" / "dog").rename(place / "other classes" / "train" / "fox")
    (place / "loop").symlink_to(place / "loop")
    (place / "dangling.onnx").symlink_to(place / "nowhere" / "m.onnx")


def _contents(folder: Path) -> dict[str, bytes]:
    """Files by name: cut, empty, nested, oversized, and of a kind that their names deny."""
    model, checkpoint = (folder / "m.onnx").read_bytes(), (folder / "c.safetensors").read_bytes()
    png = (folder / "photos" / "train" / "cat" / "0.png").read_bytes()
    noise = np.random.default_rng(1).bytes(5000)
    endings = ("onnx", "safetensors", "pth", "png", "jpg", "npy", "toml", "json", "txt", "aar")
    files = {f"empty.{ending}": b"" for ending in endings}
    files |= {f"noise.{ending}": noise for ending in endings}
    files |= {f"image.{ending}": png for ending in ("onnx", "safetensors", "npy", "toml", "pth")}
    files |= {"cut.onnx": model[: len(model) // 2], "model.png": model, "model.safetensors": model}
    files |= {"cut.safetensors": checkpoint[: len(checkpoint) // 2], "checkpoint.onnx": checkpoint}
    files |= {"huge header.safetensors": struct.pack("<Q", 2**62) + b"{}"}
    files |= {"cut.png": png[: len(png) // 2], "large.png": png_of_size(20_000, 20_000)}
    files |= {"wide.png": png_of_size(65_535, 1), "nested.json": NESTED.encode()}
    files |= {"nested.toml": b"model = " + NESTED.encode(), "no model.toml": b"seed = 1\n"}
    files |= {"types.toml": b"model = 3\nprecision = []\n[train]\nepochs = 'x'\n"}
    files |= {"unknown.toml": RECIPE.encode() + b"colour = 1\n", "nul.txt": b"cat\0\ndog\n"}
    files |= {"escapes.txt": b"\x1b[31m[/x]\ncat\n", "many.txt": b"x\n" * 100_000}
    files |= {"utf16.txt": "cat\ndog\n".encode("utf-16"), "one line.txt": b"x" * 1_000_000}
    files |= {"manifest.json": json.dumps({"models": 3, "files": ["/etc/x", "../x"]}).encode()}
    files |= {"three.npy": _npy(np.zeros((1, 3, 7, 7), np.float32)), "zip.aar": _zip("../../x")}
    files |= {"none.npy": _npy(np.zeros((0, 3, 160, 160), np.float32)), "zip.pth": _zip("a/x.pkl")}
    return files


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"x" * 100)
    return file.getvalue()
