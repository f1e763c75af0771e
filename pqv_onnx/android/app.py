"""A Gradle project of an app that classifies photos, from the templates in ``project``."""

from __future__ import annotations

import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from pqv_onnx.android.aar import write_maven
from pqv_onnx.android.models import Classifier, check_classifier
from pqv_onnx.errors import PqvError
from pqv_onnx.files import absolute, check_whole_folder, whole_folder, write_files
from pqv_onnx.text import printable
from pqv_onnx.version import __version__

TEMPLATES = Path(__file__).parent / "project"
"""Text with names like ``@@{package}``; the folder PACKAGE becomes that of the sources."""

MODEL = "app/src/main/assets/model.onnx"
REPOSITORY = "repository"
_LONGEST_NAME = 50
_LONGEST_PACKAGE = 200

# Of Kotlin and of Java: none may be part of a package's name.
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
abstract as assert boolean break byte case catch char class const continue default do double
else enum extends false final finally float for fun goto if implements import in instanceof int
interface is long native new null object package private protected public return short static
strictfp super switch synchronized this throw throws transient true try typealias typeof val var
void volatile when while
        """,
    )
)


class _Template(string.Template):
    """Of code that is full of dollars."""

    delimiter = "@@"


@dataclass(frozen=True)
class AppNames:
    """What an app is called.

    Attributes:
        name: under its icon.
        package: its id, and the package of its classes.
    """

    name: str
    package: str

    @property
    def project(self) -> str:
        """The name of the Gradle project, which may have few kinds of characters."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-") or "app"


def choose_names(folder: str | os.PathLike[str], name: str | None, package: str | None) -> AppNames:
    """The names of an app: what is not given follows from the name of its folder.

    Raises:
        PqvError: a name that was given, or the folder's, cannot be one.
    """
    chosen = absolute(folder).name if name is None else name
    if not chosen.strip() or not chosen.isprintable() or len(chosen) > _LONGEST_NAME:
        raise PqvError(f"--name {chosen!r}: expected one line of 1 to {_LONGEST_NAME} characters")
    if package is None:
        word = re.sub(r"[^a-z0-9]", "", chosen.lower()).lstrip("0123456789")
        package = f"org.example.{'app' if word in _KEYWORDS or not word else word}"
    _check_package(package)
    return AppNames(chosen.strip(), package)


def _check_package(package: str) -> None:
    words = package.split(".")
    is_known = all(re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", word) for word in words)
    if not is_known or len(words) < 2 or len(package) > _LONGEST_PACKAGE:
        raise PqvError(
            f"--package {package!r}: expected words of letters, digits and _ with dots between "
            "them, as org.example.myapp"
        )
    for word in words:
        if word in _KEYWORDS:
            raise PqvError(f"--package {package}: {word} is a word of Java or Kotlin")
    if package == "pqv.onnx":
        raise PqvError(f"--package {package}: that is the package of the library")


def write_app(
    folder: str | os.PathLike[str],
    model: str | os.PathLike[str],
    names: AppNames,
    library: str | os.PathLike[str],
    classpath: str | None = None,
) -> list[str]:
    """Write a Gradle project of an app with a model; whole, or nothing.

    Args:
        folder: made; it must not be there, or be empty.
        model: an exported classifier.
        names: what the app is called.
        library: ``libpqv_ops.so`` for Android on arm64.
        classpath: of `classes_jar`.

    Returns:
        The paths of its files in it.

    Raises:
        PqvError: the model is no classifier that the app can run, the library breaks a rule of
            Android, the classes cannot be compiled, or the folder is not empty or cannot be
            written.
    """
    target = Path(folder)
    _check_empty(target)
    texts = _fill_templates(names, Path(model).name, _options(check_classifier(model)))
    contents = {name: text.encode() for name, text in texts.items()}
    with whole_folder(target) as new:
        write_files(new, {**contents, MODEL: Path(model).read_bytes()})
        write_maven(new / REPOSITORY, library, classpath)
        return sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())


def _check_empty(target: Path) -> None:
    check_whole_folder(target)
    if target.is_dir() and any(target.iterdir()):
        raise PqvError(f"{target}: is not empty: the project needs a folder of its own")


def _fill_templates(names: AppNames, model: str, options: str) -> dict[str, str]:
    """The text files of a project, by their paths in it."""
    values = {
        "name": names.name,
        "xml_name": _android_string(names.name),
        "project": names.project,
        "package": names.package,
        "version": __version__,
        "model": printable(model),
        "options": options,
    }
    folder = names.package.replace(".", "/")
    return {
        _place(path.relative_to(TEMPLATES), folder): _Template(path.read_text("utf-8")).substitute(
            values
        )
        for path in sorted(TEMPLATES.rglob("*"))
        if path.is_file()
    }


def _place(template: Path, package: str) -> str:
    """Where in a project the text of a template goes."""
    path = template.as_posix().replace("/PACKAGE/", f"/{package}/")
    return ".gitignore" if path == "gitignore" else path  # a package of Python has no such file


def _options(classifier: Classifier) -> str:
    """The options of the model in Kotlin: classes without names are numbers."""
    if classifier.has_labels:
        return "PqvOptions.DEFAULT"
    return f'PqvOptions.DEFAULT.withLabels(List({classifier.classes}) {{ "class $it" }})'


def _android_string(text: str) -> str:
    """As a value of Android's string resources, in XML."""
    escaped = re.sub(r"""([\\'"])""", r"\\\1", text)
    return escape(f"\\{escaped}" if escaped[0] in "@?" else escaped)
