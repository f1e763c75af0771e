"""The app of `pqv android app`, compiled and run on the JVM, and its screen, drawn.

PQV_PICTURES=FOLDER keeps the pictures.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pqv_onnx
from pqv_onnx.android.app import TEMPLATES, choose_names, write_app
from pqv_onnx.android.target import LIBRARY
from pqv_onnx.runtime.labels import best_classes
from pqv_onnx.runtime.preprocess import ModelInput
from tests.android.app_project import PACKAGE, PICTURES, SOURCES, AppBuild, get_runtime
from tests.android.jvm import join
from tests.android.test_app import change
from tests.runner.test_images import picture

NIGHT = (0x10, 0x16, 0x1C)
DAY = (0xF7, 0xF8, 0xFA)
ACCENTS = {"day": (0x0B, 0x6E, 0x6B), "night": (0x5C, 0xCF, 0xC7)}
TESTS = {
    "MainActivityTest": TEMPLATES / "app/src/androidTest/kotlin/PACKAGE/MainActivityTest.kt",
    "ScreenTest": SOURCES / "ScreenTest.kt",
}
CASES = [
    f"{name}.{test}"
    for name, path in TESTS.items()
    for test in re.findall(r"@Test\n(?: +@Config.*\n)? +fun (\w+)", path.read_text())
]


@pytest.fixture(scope="module")
def build(
    android_build: Path,
    tiny_onnx: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> AppBuild:
    jars = get_runtime()
    folder = tmp_path_factory.mktemp("app")
    labels = {"pqv.labels": "fire truck\nblé\nzebra\nlamp\nboat"}
    model = change(tiny_onnx["w4a4"], folder / "m.onnx", labels)
    names = choose_names("MyApp", None, None)
    assert names.package == PACKAGE
    write_app(folder / "MyApp", model, names, android_build / LIBRARY, join(jars))
    (folder / "build").mkdir()
    return AppBuild(folder / "MyApp", folder / "build", jars)


def best_five(model: Path, photo: Path) -> str:
    """The classes that Python finds in a photo, the best first."""
    session = pqv_onnx.InferenceSession(model)
    wanted = ModelInput.from_metadata(session.get_modelmeta().custom_metadata_map)
    (given,) = session.get_inputs()
    (logits,) = session.run(["logits"], {given.name: wanted.load(photo)})[0]
    return " ".join(str(found["class"]) for found in best_classes(logits, 5))


@pytest.fixture(scope="module")
def results(build: AppBuild) -> dict[str, str]:
    photo = build.folder / "photo.png"
    picture("RGB", 640, 480).save(photo)
    results = build.run_tests(photo, best_five(build.model, photo), *TESTS)
    if "PQV_PICTURES" in os.environ:
        for name in PICTURES:
            shutil.copy(build.folder / f"{name}.png", os.environ["PQV_PICTURES"])
    return results


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, results: dict[str, str]) -> None:
    assert results.get(case, f"did not run: {results}") == "passed"


def drawn(build: AppBuild, name: str) -> np.ndarray:
    return np.asarray(Image.open(build.folder / f"{name}.png").convert("RGB"))


@pytest.mark.usefixtures("results")
def test_pictures_of_the_screen(build: AppBuild) -> None:
    """Colours by day and by night, all five bars, and another layout across."""
    day, night, across = (drawn(build, name) for name in ("day", "night", "across"))
    assert day.shape == night.shape == (1782, 822, 3) and across.shape == (822, 1782, 3)
    assert tuple(day[8, 8]) == DAY and tuple(night[8, 8]) == NIGHT
    for name, image in (("day", day), ("night", night)):
        column = (image[700:1300, 44] == ACCENTS[name]).all(axis=1)  # where bars begin
        begins = np.flatnonzero(column[1:] & ~column[:-1])
        assert len(begins) >= 5, name
    assert (day[-100:] == ACCENTS["day"]).all(axis=2).any()  # a filled button at the bottom
