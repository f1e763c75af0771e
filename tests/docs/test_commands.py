"""Every block of commands in the documents is run by a test, or listed here as not run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.builds import ROOT
from tests.docs.scripts import run
from tests.docs.test_options import SOURCES
from tests.marks import slow

NDK, APP = "needs a phone; tests/android runs it with a stand-in for adb", "tests/android runs it"
IMAGENET = "needs pretrained weights and ImageNet; tests/cli/test_train.py runs it on small ones"
QUANTIZE = "downloads weights; tests/workflow runs it on small models"
TARGETS = "what CI does (.ci/run)"

BLOCKS = {
    "CONTRIBUTING.md": {
        "make install": TARGETS,
        "(cd custom_ops": "what tests/builds.py does in a folder of its own",
        "make test": TARGETS,
    },
    "README.md": {
        "make install": TARGETS,
        "pqv export": "tests/docs/test_commands.py",
        "pqv quantize": QUANTIZE,
        "pqv calibrate ...": "names the commands only",
        "pqv android build": NDK,
    },
    "custom_ops/README.md": {
        "(cd custom_ops": "what tests/builds.py does in a folder of its own",
        "build/host/pqv_run": "tests/runner runs it",
        "PQV_LIBRARY=": "is the tests",
        "PQV_LIBRARY=build/host-sanitize": "tests/custom_ops and tests/runner run parts of it",
        "python -m tests.fuzz": "tests/fuzz runs fewer",
        "(cd custom_ops && cmake --preset host -B": "tests/custom_ops/test_fuzz.py runs fewer",
        "cmake -S custom_ops": "needs the official header",
    },
    "docs/android.md": {
        "pqv quantize": QUANTIZE,
        "pqv verify": QUANTIZE,
        "pqv android build": APP,
        "pqv android app": APP,
        "pqv android bundle": NDK,
        "pqv android bench": NDK,
        "pqv bench": "needs a board with arm64; tests/cli/test_bench.py runs it",
    },
    "docs/android_library.md": {"pqv android build": APP},
    "docs/quantization.md": {"pqv calibrate": IMAGENET},
    "docs/inputs.md": {
        "pqv export": "needs a trained checkpoint; tests/graph/test_image.py runs it"
    },
    "docs/other_runtimes.md": {
        "pqv export": "needs a trained checkpoint; tests/graph/test_standard.py runs it"
    },
    "docs/quantize.md": {"pqv quantize": QUANTIZE},
    "docs/reliability.md": {"python -m tests.fuzz": "are the long runs of what tests/fuzz does"},
    "docs/release.md": {".ci/run": "is the list for a release"},
    "docs/training.md": {
        "M=deit": "tests/docs/test_training.py",
        "pqv train --recipe $M.w8a8": IMAGENET,
        "pqv recipes": IMAGENET,
        "pqv eval digits": "needs a checkpoint; tests/train runs the data set",
        "accelerate launch": "needs GPUs; tests/cli/test_train.py runs two processes",
    },
    "examples/README.md": {"pqv calibrate": "downloads weights; tests/examples runs small models"},
    "export/README.md": {
        "pqv calibrate": IMAGENET,
        ".venv/bin/python export/export.py": "needs a trained checkpoint",
    },
}
"""By document and by how the block begins: the test that runs it as it stands, or why none does.

The READMEs of benchmarks are not listed: their commands are measurements."""

COMMAND = re.compile(
    r"(\w+=\S* )*(pqv|make|pip|cmake|python|python3|accelerate|cd) |"
    r"\w+=\w|\.venv/bin/|\.ci/|\(cd |build/host/"
)


def command_blocks(text: str) -> list[str]:
    """Indented blocks with a command in them."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    blocks = re.findall(r"(?:^ {4}.*\n(?:^[ \t]*\n(?= {4}))?)+", text + "\n", re.M)
    stripped = ["\n".join(line.strip() for line in block.splitlines()) for block in blocks]
    return [block for block in stripped if re.match(COMMAND, block)]


DOCUMENTS = [*SOURCES, ROOT / "custom_ops" / "README.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_run_or_listed(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name.startswith("benchmarks"):
        pytest.skip("its commands are measurements")
    blocks, listed = command_blocks(path.read_text()), BLOCKS.get(name, {})
    unknown = [b for b in blocks if not any(b.startswith(start) for start in listed)]
    assert unknown == [], f"run it in a test, or say in {Path(__file__).name} why none does"
    assert [start for start in listed if not any(b.startswith(start) for b in blocks)] == []


def test_the_tests_are_there() -> None:
    told = [text for blocks in BLOCKS.values() for text in blocks.values()]
    named = {path for text in told for path in re.findall(r"tests/[\w/.]+", text)}
    assert {path for path in named if not (ROOT / path.rstrip(".")).exists()} == set()


@slow
def test_60_seconds(tmp_path: Path) -> None:
    """The README's first commands on a photo of noise."""
    text = (ROOT / "README.md").read_text().split("## 60 seconds\n")[1]
    (script, *_) = command_blocks(text)
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    printed = run(script, tmp_path)
    assert "%" in printed and "m.onnx is bit-exact" in printed
