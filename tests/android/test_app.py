"""`pqv android app`: a project of templates, whole or not at all."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest

from pqv_onnx.android.app import MODEL, TEMPLATES, choose_names
from pqv_onnx.errors import PqvError
from pqv_onnx.version import __version__
from tests.android.app_project import PACKAGE
from tests.android.test_aar import classpath  # noqa: F401
from tests.cli.conftest import Done, Pqv

App = Callable[..., Done]

ANDROID = "{http://schemas.android.com/apk/res/android}"


@pytest.fixture
def app(pqv: Pqv, classpath: str, android_build: Path, tmp_path: Path) -> App:  # noqa: F811
    """The command, with what it takes to make the package."""

    def run(model: Path, *arguments: object, output: Path = tmp_path / "MyApp") -> Done:
        given = ("--binaries", android_build, "--classpath", classpath, "-o", output)
        return pqv("android", "app", "-m", model, *given, *arguments)

    return run


@pytest.fixture
def bare(pqv: Pqv, tmp_path: Path) -> App:
    """The command without these, which looks at its names and the model first."""

    def run(model: Path, *arguments: object, output: Path = tmp_path / "MyApp") -> Done:
        return pqv("android", "app", "-m", model, "-o", output, *arguments)

    return run


def change(source: Path, target: Path, entries: dict[str, str]) -> Path:
    """A model with other metadata."""
    model = onnx.load(source)
    old = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, old | entries)
    onnx.save(model, target)
    return target


def test_a_project(app: App, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "MyApp").mkdir()  # an empty folder is no hindrance
    done = app(tiny_onnx["w4a4"], "--name", "Fire & 'water'", "--package", "org.example.fire")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{tmp_path / 'MyApp'}: Fire & 'water', org.example.fire, ")
    root = tmp_path / "MyApp"
    assert (root / MODEL).read_bytes() == tiny_onnx["w4a4"].read_bytes()
    texts = {
        str(path.relative_to(root)): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and path.suffix in (".kts", ".kt", ".xml", ".toml", ".md", ".properties")
    }
    assert not [name for name, text in texts.items() if "@@" in text or "PACKAGE" in name]
    for name, text in texts.items():
        if name.endswith(".xml"):
            ElementTree.fromstring(text.encode())
        if name.endswith(".kt"):
            assert text.startswith("package org.example.fire\n") and "/org/example/fire/" in name
    strings = ElementTree.fromstring(texts["app/src/main/res/values/strings.xml"])
    assert strings.findtext("string[@name='app_name']") == r"Fire & \'water\'"
    assert 'rootProject.name = "Fire-water"' in texts["settings.gradle.kts"]
    labels = 'PqvOptions.DEFAULT.withLabels(List(5) { "class $it" })'
    assert labels in texts["app/src/main/kotlin/org/example/fire/Model.kt"]
    (package,) = root.rglob("*.aar")
    assert package.name == f"pqv-android-{__version__}.aar"


def test_the_build_files(app: App, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    """What of them holds without Gradle."""
    assert app(tiny_onnx["w4a4"]).code == 0
    root = tmp_path / "MyApp"
    catalog = tomllib.loads((root / "gradle" / "libs.versions.toml").read_text())
    assert catalog["versions"]["pqv"] == __version__
    entries = {f"libs.{name}" for name in catalog["libraries"]}
    entries |= {f"libs.plugins.{name}" for name in catalog["plugins"]}
    scripts = [(root / "build.gradle.kts").read_text(), (root / "app/build.gradle.kts").read_text()]
    used = {name for text in scripts for name in re.findall(r"libs(?:\.\w+)+", text)}
    assert used == {name.replace("-", ".") for name in entries}
    versions = {entry["version"]["ref"] for entry in catalog["libraries"].values()}
    versions |= {entry["version"]["ref"] for entry in catalog["plugins"].values()}
    assert versions == set(catalog["versions"])
    assert f'namespace = "{PACKAGE}"' in scripts[1]
    manifest = ElementTree.parse(root / "app/src/main/AndroidManifest.xml").getroot()
    assert not [child.tag for child in manifest if child.tag.startswith("uses-permission")]
    classes = {path.stem for path in (root / "app/src/main/kotlin").rglob("*.kt")}
    named = [part.get(f"{ANDROID}name") or "" for part in manifest.iter()]
    assert {name[1:] for name in named if name.startswith(".")} <= classes


def test_labels_of_the_model(app: App, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    model = change(tiny_onnx["w4a4"], tmp_path / "m.onnx", {"pqv.labels": "a\nb\nc\nd\ne"})
    assert app(model).code == 0
    (source,) = (tmp_path / "MyApp").rglob("Model.kt")
    assert source.read_text().endswith("PqvOptions = PqvOptions.DEFAULT\n}\n")


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"pqv.task": "embedding"}, "m.onnx: gives embedding, expected a classifier"),
        ({"pqv.task": "features"}, "m.onnx: gives features, expected a classifier"),
        ({"pqv.labels": "a\nb"}, "m.onnx: has 2 labels for 5 classes"),
        ({"pqv.std": "[0]"}, "m.onnx: the model's pqv.std has"),
        ({"pqv.input": "encoded"}, "m.onnx: decodes image files by onnxruntime-extensions"),
    ],
)
def test_models_that_the_app_cannot_run(
    entries: dict[str, str], sentence: str, bare: App, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    model = change(tiny_onnx["w4a4"], tmp_path / "m.onnx", entries)
    assert sentence in bare(model).error
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_other_files(bare: App, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no model")
    assert "text: not an ONNX model" in bare(tmp_path / "text").error
    assert "none: there is no such file" in bare(tmp_path / "none").error


NAMES = {
    ("--name", ""): "--name '': expected one line of 1 to 50 characters",
    ("--name", "two\nlines"): r"--name 'two\nlines': expected one line",
    ("--name", "n" * 51): "expected one line of 1 to 50 characters",
    ("--package", "app"): "--package 'app': expected words of letters, digits and _ with dots",
    ("--package", "org.1st"): "--package 'org.1st': expected words",
    ("--package", "org..app"): "--package 'org..app': expected words",
    ("--package", "../../etc"): "--package '../../etc': expected words",
    ("--package", "org.fun.app"): "--package org.fun.app: fun is a word of Java or Kotlin",
    ("--package", "pqv.onnx"): "--package pqv.onnx: that is the package of the library",
}


@pytest.mark.parametrize("arguments", NAMES)
def test_bad_names(
    arguments: tuple[str, str], bare: App, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    assert NAMES[arguments] in bare(tiny_onnx["w4a4"], *arguments).error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "package"),
    [("MyApp", "myapp"), ("my-app 2", "myapp2"), ("2nd", "nd"), ("Été", "t"), ("水", "app")],
)
def test_names_of_folders(folder: str, package: str) -> None:
    names = choose_names(f"some/{folder}", None, None)
    assert (names.name, names.package) == (folder, f"org.example.{package}")


def test_a_folder_called_by_a_keyword() -> None:
    assert choose_names("class", None, None).package == "org.example.app"
    with pytest.raises(PqvError, match="words"):
        choose_names("class", None, "org.example.class!")


def test_folders_that_are_taken(bare: App, tiny_onnx: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    done = bare(tiny_onnx["w4a4"], output=folder)
    assert "full: is not empty: the project needs a folder of its own" in done.error
    assert [path.name for path in folder.iterdir()] == ["notes"]
    assert "there is no folder" in bare(tiny_onnx["w4a4"], output=tmp_path / "a" / "b").error
    assert "notes is no folder" in bare(tiny_onnx["w4a4"], output=folder / "notes").error


def test_nothing_is_left_where_the_package_fails(
    pqv: Pqv, tiny_onnx: dict[str, Path], tmp_path: Path
) -> None:
    """There is no op library: pqv android build was not run."""
    given = ("--binaries", tmp_path / "none", "-o", tmp_path / "MyApp")
    error = pqv("android", "app", "-m", tiny_onnx["w4a4"], *given).error
    assert "libpqv_ops.so: there is no such file: run `pqv android build` first" in error
    assert not list(tmp_path.iterdir())


def test_templates_are_text_of_ours() -> None:
    """No file of Gradle's, no address of a server."""
    for path in TEMPLATES.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8").replace("http://schemas.android.com/", "")
            assert "://" not in text.replace("content://", ""), path
