"""`pqv android aar`: a package that Android's build tools and a JVM can read."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import pqv_onnx
from pqv_onnx.android.elf import ANDROID_LIBRARY, check
from pqv_onnx.runtime.labels import best_classes
from pqv_onnx.runtime.library import get_library_path
from pqv_onnx.version import __version__
from tests.builds import need
from tests.cli.conftest import Pqv

ANDROID = "{http://schemas.android.com/apk/res/android}"
STAND_INS = Path(pqv_onnx.__file__).parent / "android" / "java"

APP = """
import ai.onnxruntime.OnnxModelMetadata;
import ai.onnxruntime.OrtSession;
import java.util.HashMap;
import java.util.Map;
import pqv.onnx.Classification;
import pqv.onnx.PqvOps;

public class App {
  static class Options extends OrtSession.SessionOptions {
    @Override public void registerCustomOpLibrary(String path) { System.out.println(path); }
  }

  static class Metadata extends OnnxModelMetadata {
    final Map<String, String> entries = new HashMap<>();
    @Override public Map<String, String> getCustomMetadata() { return entries; }
  }

  static class Session extends OrtSession {
    final Metadata metadata = new Metadata();
    @Override public OnnxModelMetadata getMetadata() { return metadata; }
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println(PqvOps.NAME + " " + PqvOps.LIBRARY + " " + PqvOps.FUNCTION);
    PqvOps.register(new Options());
    Session session = new Session();
    float[] logits = {0f, 2f, 1f, 2f};
    System.out.println(Classification.best(session, logits, 1).get(0));
    session.metadata.entries.put("pqv.labels", "a\\nnorth pole\\nc\\nd");
    for (Classification found : Classification.best(session, logits, 9)) {
      System.out.println(found.index + " " + found);
    }
  }
}
"""


@pytest.fixture
def package(pqv: Pqv, android_build: Path, tmp_path: Path) -> Path:
    need("javac", "default-jdk-headless")
    target = tmp_path / "pqv_ops.aar"
    done = pqv("android", "aar", "--binaries", android_build, "-o", target)
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
        with zipfile.ZipFile(io.BytesIO(archive.read("classes.jar"))) as classes:
            assert classes.namelist() == [
                "META-INF/MANIFEST.MF",
                "pqv/onnx/Classification.class",
                "pqv/onnx/PqvOps.class",
            ]
            assert f"Implementation-Version: {__version__}" in (
                classes.read("META-INF/MANIFEST.MF").decode()
            )
    assert manifest.tag == "manifest" and manifest.get("package") == "pqv.onnx"
    assert manifest.get(f"{ANDROID}versionName") == __version__
    sdk = manifest.find("uses-sdk")
    assert sdk is not None and sdk.get(f"{ANDROID}minSdkVersion") == "24"
    assert b"aarFormatVersion=1.0" in properties
    check(library, ANDROID_LIBRARY)
    again = tmp_path / "again.aar"
    assert pqv("android", "aar", "--binaries", android_build, "-o", again).code == 0
    assert again.read_bytes() == package.read_bytes()


def test_the_class_in_a_jvm(package: Path, tmp_path: Path) -> None:
    """An app on this machine's library, with onnxruntime's classes replaced by stand-ins."""
    need("java", "default-jdk-headless")
    with zipfile.ZipFile(package) as archive:
        jar = archive.extract("classes.jar", tmp_path)
    (tmp_path / "App.java").write_text(APP)
    path = ["-cp", f"{jar}:{tmp_path}"]
    compiler = ["javac", *path, "-sourcepath", STAND_INS, "-d", tmp_path, tmp_path / "App.java"]
    subprocess.run(compiler, check=True)
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "libpqv_ops.so").symlink_to(Path(get_library_path()).resolve())
    java = ["java", *path, f"-Djava.library.path={libraries}", "App"]
    done = subprocess.run(java, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "pqv_ops libpqv_ops.so RegisterPqvCustomOps",
        "libpqv_ops.so",
        *answers(1, [f"class {i}" for i in range(4)], number=False),
        *answers(4, ["a", "north pole", "c", "d"]),
    ]


def answers(count: int, labels: list[str], number: bool = True) -> list[str]:
    """What APP prints, as Python has it."""
    best = best_classes(np.array([0, 2, 1, 2], np.float32), count, labels)
    return [
        (f"{b['class']} " if number else "") + f"{b['label']} {100 * b['probability']:.1f}%"
        for b in best
    ]


def test_what_is_missing(
    pqv: Pqv, android_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "x.aar"
    aar = ("android", "aar", "-o", target)
    assert "libpqv_ops.so: cannot be read" in pqv(*aar, "--binaries", tmp_path).error
    (tmp_path / "libpqv_ops.so").write_bytes(Path(get_library_path()).read_bytes())
    assert "expected EM_AARCH64" in pqv(*aar, "--binaries", tmp_path).error
    monkeypatch.setenv("PATH", "/none")
    assert "javac not found on the PATH" in pqv(*aar, "--binaries", android_build).error
    assert not target.exists()
