"""docs/training.md: its commands, as they stand there, on a few images and random weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("accelerate")

import torch  # noqa: E402
from PIL import Image  # noqa: E402

from pqv_onnx.train.models import FloatSource  # noqa: E402
from tests.builds import ROOT  # noqa: E402
from tests.docs.scripts import run  # noqa: E402
from tests.marks import slow

SHORT = " ".join(
    f"--set train.{change}"
    for change in ("max_steps=2", "batch_size=8", "rounding_steps=1", "data.workers=0")
)


def commands(title: str) -> str:
    """The indented block of a section."""
    text = (ROOT / "docs" / "training.md").read_text()
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def make_images(folder: Path) -> None:
    """An image of each of ImageNet's 1000 classes to train on, of two of them to evaluate on."""
    generator = np.random.default_rng(0)
    for split, classes in (("train", 1000), ("validation", 2)):
        for label in range(classes):
            (folder / split / f"{label:03}").mkdir(parents=True)
            small = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            picture = Image.fromarray(small).resize((256, 256))
            picture.save(folder / split / f"{label:03}" / "0.png")


@slow
def test_the_whole_way(tmp_path: Path) -> None:
    """Calibrate, train, export, verify and evaluate DeiT-Ti by the ImageNet recipe."""
    make_images(tmp_path / "imagenet")
    torch.save(
        FloatSource(seed=0).load("deit_tiny_patch16_224").state_dict(), tmp_path / "deit.pth"
    )
    (tmp_path / "export").symlink_to(ROOT / "export")
    script = (
        commands("The whole way")
        .replace("--workers 8", "")
        .replace("train --", f"train {SHORT} --")
        .replace("calibrate --", "calibrate --steps 2 --images 16 --")
    )
    assert re.findall(r"^pqv (\w+)", script, re.M) == [
        "calibrate",
        "train",
        "export",
        "verify",
        "eval",
    ]
    printed = run(script, tmp_path)
    assert "m.onnx is bit-exact" in printed
    for kind in ("float", "fake-quantized", "integer", "onnx, library"):
        assert kind in printed
