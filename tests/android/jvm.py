"""The tests of tests/android/java, in one JVM with onnxruntime's own library and Robolectric."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from pqv_onnx.android.classes import ARTIFACTS
from pqv_onnx.android.classes import SOURCES as PACKAGE_SOURCES
from pqv_onnx.android.maven import resolve
from pqv_onnx.android.target import LIBRARY
from pqv_onnx.errors import PqvError
from pqv_onnx.runtime.info import library_info
from pqv_onnx.runtime.library import get_library_path
from tests.builds import need

SOURCES = Path(__file__).with_name("java")
JUNIT = "junit:junit:4.13.2"
ROBOLECTRIC = "org.robolectric:robolectric:4.17"
FRAMEWORK = "org.robolectric:android-all-instrumented:14-robolectric-10818077-i7"
"""Android 14, as Robolectric loads it."""


SHORT_RUN = "-XX:TieredStopAtLevel=1"
"""Has the JVM compile quickly rather than well."""

_HANGS_AFTER = 600
"""Seconds: far more than anything here takes."""

_VERDICT = re.compile(r"^(passed|FAILED) (\S+) ", re.MULTILINE)


def cases(*names: str) -> list[str]:
    """The tests of some classes, as ``Class.method``."""
    return [
        f"{name}.{test}"
        for name in names
        for test in re.findall(
            r"@Test\n  public void (\w+)", (SOURCES / f"pqv/onnx/{name}.java").read_text()
        )
    ]


def get_jars(*artifacts: str) -> list[Path]:
    """Jars by Maven; without a network a test is skipped, and fails in CI."""
    need("mvn", "maven")
    need("javac", "default-jdk-headless")
    try:
        return resolve(artifacts, "the tests need them")
    except PqvError as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


def unpack(packages: Sequence[Path], folder: Path) -> list[Path]:
    """The jars; of Android packages the jar in them."""
    jars = []
    for path in packages:
        if path.suffix == ".aar":
            with zipfile.ZipFile(path) as package:
                made = folder / f"{path.stem}.jar"
                made.write_bytes(package.read("classes.jar"))
            path = made
        jars.append(path)
    return jars


def run(command: Sequence[object]) -> str:
    """What a program prints that ends well; of a JVM that hangs, what its threads wait for."""
    words = [str(word) for word in command]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, errors = process.communicate(timeout=_HANGS_AFTER)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # a JVM prints its threads, and goes on
            time.sleep(5)
            process.kill()
            output, errors = process.communicate()
    assert process.returncode == 0, output + errors
    return output


class Jvm:
    """Classes of the package and of the tests, compiled against onnxruntime's own jar."""

    def __init__(self, folder: Path) -> None:
        """Get the jars and compile; `folder` is an empty one."""
        self.folder = folder
        jars = get_jars(JUNIT, ROBOLECTRIC, FRAMEWORK, *ARTIFACTS)
        (framework,) = (path for path in jars if "android-all-instrumented" in path.name)
        (folder / "frameworks").mkdir()
        (folder / "frameworks" / framework.name).symlink_to(framework)
        self.jars = unpack([path for path in jars if path != framework], folder)
        (folder / "libraries").mkdir()
        (folder / "libraries" / LIBRARY).symlink_to(Path(get_library_path()).resolve())
        self.plain_jars = [p for p in self.jars if p.name.startswith(("onnxruntime", "jspecify"))]
        self._compile(self.plain_jars, PACKAGE_SOURCES / "model")
        self._compile(self.jars, PACKAGE_SOURCES / "android", SOURCES)

    def _compile(self, jars: Sequence[Path], *folders: Path) -> None:
        path = join([self.folder / "classes", *jars])
        options = ["-Xlint:-options", "-encoding", "UTF-8", "-cp", path]
        sources = sorted(path for folder in folders for path in folder.rglob("*.java"))
        run(["javac", "-J" + SHORT_RUN, *options, "-d", self.folder / "classes", *sources])

    def run_plain(self, *words: object, library: bool = True) -> list[str]:
        """The lines that WithoutAndroid prints, with the op library or without."""
        path = join([self.folder / "classes", *self.plain_jars])
        place = self.folder / ("libraries" if library else "none")
        main = ["-cp", path, f"-Djava.library.path={place}", "pqv.onnx.WithoutAndroid"]
        return run(["java", *main, *words]).splitlines()

    def run_tests(self, *names: str) -> dict[str, str]:
        """What became of each test, ``passed`` or the report of its failure."""
        options = {
            "java.library.path": self.folder / "libraries",
            "robolectric.offline": "true",
            "robolectric.dependency.dir": self.folder / "frameworks",
            "pqv.samples": self.folder / "samples",
            "pqv.variant": library_info()["selected"],
            "pqv.opens": os.environ.get("PQV_OPENS", "60"),
        }
        flags = [f"-D{name}={value}" for name, value in options.items()]
        path = join([self.folder / "classes", SOURCES, *self.jars])
        jvm = ["java", "-Xmx1g", SHORT_RUN, "-XX:+UseSerialGC", "-cp", path, *flags]
        text = run([*jvm, "pqv.onnx.Run", *(f"pqv.onnx.{name}" for name in names)])
        return read_verdicts(text)


def read_verdicts(text: str) -> dict[str, str]:
    """What became of each test, of the lines that tell and the reports before them."""
    results, begin = {}, 0
    for found in _VERDICT.finditer(text):
        results[found[2]] = found[1] if found[1] == "passed" else text[begin : found.start()]
        begin = found.end()
    return results


def join(paths: Iterable[Path]) -> str:
    """A class path."""
    return os.pathsep.join(map(str, paths))
