"""An Android library package: the op library, and classes that register it and read logits."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pqv_onnx.android.elf import ANDROID_LIBRARY, check
from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.android.target import ABI, LIBRARY, MINIMUM_API
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, write_atomically
from pqv_onnx.version import __version__

PACKAGE = "pqv.onnx"
_JAVA = Path(__file__).parent / "java"
_CLASSES = ("Classification", "PqvOps")
_JAVA_RELEASE = "8"
"""Of the class file: what every version of Android's build tools reads."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that equal contents give equal archives."""

_MANIFEST = f"""<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    package="{PACKAGE}"
    android:versionName="{__version__}">
    <uses-sdk android:minSdkVersion="{MINIMUM_API}" />
</manifest>
"""
_CONSUMER_RULES = f"""# onnxruntime's native code looks these up by name.
-keep class ai.onnxruntime.** {{ *; }}
-keep class {PACKAGE}.** {{ *; }}
"""
_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=1
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
"""


def write_aar(output: str | os.PathLike[str], library: str | os.PathLike[str]) -> None:
    """Write an ``.aar`` with the op library and the classes of ``pqv.onnx``.

    Args:
        output: the file to write.
        library: ``libpqv_ops.so`` for Android on arm64.

    Raises:
        PqvError: the library breaks a rule of Android, there is no Java compiler, or ``output``
            cannot be written.
    """
    check_writable(output)
    check(library, ANDROID_LIBRARY)
    entries = {
        "AndroidManifest.xml": _MANIFEST.encode(),
        "META-INF/com/android/build/gradle/aar-metadata.properties": _METADATA.encode(),
        "R.txt": b"",
        "classes.jar": _compile_classes(),
        f"jni/{ABI}/{LIBRARY}": Path(library).read_bytes(),
        "proguard.txt": _CONSUMER_RULES.encode(),
    }
    write_atomically(output, _zip(entries))


def _compile_classes() -> bytes:
    """classes.jar. onnxruntime's classes are stand-ins while it is made, and not in it."""
    javac = find_program(
        "javac", "install a JDK (Debian, Ubuntu: apt install default-jdk-headless)"
    )
    sources = [_JAVA / "pqv" / "onnx" / f"{name}.java" for name in _CLASSES]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--release", _JAVA_RELEASE, "-Xlint:-options", "-encoding", "UTF-8"]
        done = capture([javac, *options, "-sourcepath", _JAVA, "-d", folder, *sources])
        if done.returncode:
            raise PqvError(
                f"the classes of {PACKAGE} cannot be compiled: {first_error(done, 'error:')}"
            )
        compiled = {
            f"pqv/onnx/{name}.class": (Path(folder) / "pqv" / "onnx" / f"{name}.class").read_bytes()
            for name in _CLASSES
        }
    manifest = f"Manifest-Version: 1.0\r\nImplementation-Version: {__version__}\r\n\r\n"
    return _zip({"META-INF/MANIFEST.MF": manifest.encode(), **compiled})


def _zip(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()
