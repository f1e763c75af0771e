"""The Java classes of the Android package: compiled from the sources in ``java``.

``java/model`` needs onnxruntime alone and runs in any JVM; ``java/android`` has what knows Bitmaps.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pqv_onnx.android.archive import make_zip
from pqv_onnx.android.maven import resolve
from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.android.target import RUNTIME_VERSION
from pqv_onnx.errors import PqvError
from pqv_onnx.version import __version__

SOURCES = Path(__file__).parent / "java"
ANNOTATIONS = "org.jspecify:jspecify:1.0.0"
ARTIFACTS = (
    f"com.microsoft.onnxruntime:onnxruntime:{RUNTIME_VERSION}",
    "org.robolectric:android-all:7.0.0_r1-robolectric-r1",
    ANNOTATIONS,
)
"""What the classes are compiled against: Android's classes are those of ``MINIMUM_API``."""

_PREBUILT = Path(__file__).parent / "classes.jar"
"""In a wheel, which needs neither a JDK nor Maven, but not in a checkout."""

_JAVA_RELEASE = "8"
"""Of the class file: what every version of Android's build tools reads."""

_ADVICE = "`pip install` of a wheel of pqv_onnx has the classes compiled"


def classes_jar(classpath: str | None = None) -> bytes:
    """The jar of the package ``pqv.onnx``: the wheel's, or compiled here.

    Args:
        classpath: jars with the classes of onnxruntime, Android and JSpecify, with ``:`` between
            them; None for those that Maven gets.

    Raises:
        PqvError: there is no Java compiler, Maven is missing or cannot get the jars, or the
            classes do not compile against them.
    """
    if classpath is None and _PREBUILT.is_file():
        return _PREBUILT.read_bytes()
    return compiled_jar(classpath)


def compiled_jar(classpath: str | None = None) -> bytes:
    """The jar of the sources as they are; see `classes_jar`."""
    javac = find_program(
        "javac", f"install a JDK (Debian, Ubuntu: apt install default-jdk-headless); {_ADVICE}"
    )
    paths = classpath.split(os.pathsep) if classpath else resolve(ARTIFACTS, _ADVICE)
    with tempfile.TemporaryDirectory() as folder:
        _compile(javac, sorted(SOURCES.rglob("*.java")), paths, Path(folder))
        compiled = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(Path(folder).rglob("*.class"))
        }
    manifest = f"Manifest-Version: 1.0\r\nImplementation-Version: {__version__}\r\n\r\n"
    return make_zip({"META-INF/MANIFEST.MF": manifest.encode(), **compiled})


def sources_jar() -> bytes:
    """The jar of the sources, as development environments show them."""
    sources = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for root in (SOURCES / "model", SOURCES / "android")
        for path in sorted(root.rglob("*.java"))
    }
    return make_zip(sources)


def _compile(
    javac: str, sources: Sequence[Path], classpath: Sequence[str | Path], folder: Path
) -> None:
    options = ["--release", _JAVA_RELEASE, "-Xlint:-options", "-encoding", "UTF-8"]
    path = os.pathsep.join(map(str, classpath))
    done = capture([javac, *options, "-classpath", path, "-d", folder, *sources])
    if done.returncode:
        cause = first_error(done, "error:")
        raise PqvError(f"the classes of pqv.onnx cannot be compiled: {cause}")


if __name__ == "__main__":  # .ci/build-wheels has it write what a wheel holds
    Path(sys.argv[1]).write_bytes(compiled_jar())
