"""`pqv android aar`: a package that Android's build tools and a JVM can read."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pqv_onnx.android import classes
from pqv_onnx.android.aar import DEPENDENCIES
from pqv_onnx.android.classes import ARTIFACTS, SOURCES
from pqv_onnx.android.elf import ANDROID_LIBRARY, check
from pqv_onnx.android.maven import make_pom, write_repository
from pqv_onnx.android.target import RUNTIME_VERSION
from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.version import __version__
from tests.android.conftest import put_program, write_fake_aar
from tests.android.jvm import get_jars
from tests.builds import need
from tests.cli.conftest import Pqv

ANDROID = "{http://schemas.android.com/apk/res/android}"
FILES = {path.stem for path in SOURCES.rglob("*.java")}


@pytest.fixture(scope="module")
def classpath() -> str:
    """The jars that the classes are compiled against."""
    return os.pathsep.join(map(str, get_jars(*ARTIFACTS)))


@pytest.fixture
def package(pqv: Pqv, classpath: str, android_build: Path, tmp_path: Path) -> Path:
    target = tmp_path / "pqv-android.aar"
    binaries = ("--binaries", android_build)
    done = pqv("android", "aar", *binaries, "--classpath", classpath, "-o", target)
    assert done.code == 0, done.err
    return target


def test_the_package(package: Path, android_build: Path, pqv: Pqv, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "AndroidManifest.xml",
            "META-INF/com/android/build/gradle/aar-metadata.properties",
            "R.txt",
            "classes.jar",
            "jni/arm64-v8a/libpqv_ops.so",
            "proguard.txt",
        ]
        manifest = ElementTree.fromstring(archive.read("AndroidManifest.xml"))
        library = archive.extract("jni/arm64-v8a/libpqv_ops.so", tmp_path)
        properties = archive.read("META-INF/com/android/build/gradle/aar-metadata.properties")
        with zipfile.ZipFile(io.BytesIO(archive.read("classes.jar"))) as jar:
            head, *names = jar.namelist()
            assert f"Implementation-Version: {__version__}" in jar.read(head).decode()
    assert {Path(name).parent.as_posix() for name in names} == {"pqv/onnx"}
    assert {Path(name).stem.split("$")[0] for name in names} == FILES
    assert manifest.tag == "manifest" and manifest.get("package") == "pqv.onnx"
    assert manifest.get(f"{ANDROID}versionName") == __version__
    sdk = manifest.find("uses-sdk")
    assert sdk is not None and sdk.get(f"{ANDROID}minSdkVersion") == "24"
    assert b"aarFormatVersion=1.0" in properties
    check(library, ANDROID_LIBRARY)


def test_a_repository(
    pqv: Pqv, classpath: str, android_build: Path, package: Path, tmp_path: Path
) -> None:
    """What Maven resolves from it, beside a package that stands in for onnxruntime's."""
    repository = tmp_path / "repository"
    given = ("--binaries", android_build, "--classpath", classpath)
    done = pqv("android", "maven", *given, "-o", repository)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"pqv.onnx:pqv-android:{__version__}"
    folder = repository / "pqv" / "onnx" / "pqv-android" / __version__
    name = f"pqv-android-{__version__}"
    assert (folder / f"{name}.aar").read_bytes() == package.read_bytes()
    with zipfile.ZipFile(folder / f"{name}-sources.jar") as sources:
        assert {Path(entry).stem for entry in sources.namelist()} == FILES
    peer = {".aar": write_fake_aar(tmp_path / "peer.aar").read_bytes()}
    write_repository(repository, DEPENDENCIES[0].removesuffix(":aar"), peer, [])
    assert dependencies(repository, tmp_path) == {
        f"pqv.onnx:pqv-android:aar:{__version__}:compile",
        f"com.microsoft.onnxruntime:onnxruntime-android:aar:{RUNTIME_VERSION}:compile",
        "org.jspecify:jspecify:jar:1.0.0:compile",
    }


def dependencies(repository: Path, folder: Path) -> set[str]:
    """What a Maven project with the package, and a cache of its own, depends on."""
    links = {"copy_function": os.symlink}
    shutil.copytree(Path.home() / ".m2" / "repository", folder / "cache", **links)
    pom = make_pom("app:app:1", "pom", [f"pqv.onnx:pqv-android:{__version__}:aar"])
    entry = f"<repository><id>pqv</id><url>{repository.as_uri()}</url></repository>"
    end = f"<repositories>{entry}</repositories></project>"
    (folder / "pom.xml").write_text(pom.replace("</project>", end))
    options = [f"-Dmaven.repo.local={folder}/cache", f"-DoutputFile={folder}/tree"]
    command = ["mvn", "-B", "-q", *options, "dependency:tree"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return {line.split(" ")[-1] for line in (folder / "tree").read_text().splitlines()[1:]}


def test_the_classes_of_a_wheel(
    pqv: Pqv, android_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are packed as they are, by a machine with neither a JDK nor Maven."""
    (tmp_path / "classes.jar").write_bytes(b"compiled before")
    monkeypatch.setattr(classes, "_PREBUILT", tmp_path / "classes.jar")
    monkeypatch.setenv("PATH", "/none")
    target = tmp_path / "x.aar"
    done = pqv("android", "aar", "--binaries", android_build, "-o", target)
    assert done.code == 0, done.err
    with zipfile.ZipFile(target) as archive:
        assert archive.read("classes.jar") == b"compiled before"


def test_what_is_missing(
    pqv: Pqv, android_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "_PREBUILT", tmp_path / "none")  # as in a checkout
    target = tmp_path / "x.aar"
    aar = ("android", "aar", "-o", target)
    assert "run `pqv android build` first" in pqv(*aar, "--binaries", tmp_path).error
    (tmp_path / "libpqv_ops.so").write_bytes(Path(get_library_path()).read_bytes())
    assert "expected EM_AARCH64" in pqv(*aar, "--binaries", tmp_path).error
    aar = (*aar, "--binaries", android_build)
    need("javac", "default-jdk-headless")
    assert "cannot be compiled: " in pqv(*aar, "--classpath", "none.jar").error
    put_program(tmp_path / "javac", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "mvn not found on the PATH: install Maven" in pqv(*aar).error
    monkeypatch.setenv("PATH", "/none")
    assert "javac not found on the PATH: install a JDK" in pqv(*aar).error
    assert not target.exists()
