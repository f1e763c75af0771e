"""An Android library package: the op library, and the classes for apps."""

from __future__ import annotations

import os
from pathlib import Path

from pqv_onnx.android.archive import make_zip
from pqv_onnx.android.build import check_built
from pqv_onnx.android.classes import ANNOTATIONS, classes_jar, sources_jar
from pqv_onnx.android.elf import ANDROID_LIBRARY
from pqv_onnx.android.maven import write_repository
from pqv_onnx.android.target import ABI, LIBRARY, MINIMUM_API, RUNTIME_VERSION
from pqv_onnx.files import check_writable, write_atomically
from pqv_onnx.version import __version__

PACKAGE = "pqv.onnx"
COORDINATES = f"{PACKAGE}:pqv-android:{__version__}"
"""Of the package in a Maven repository."""

DEPENDENCIES = (f"com.microsoft.onnxruntime:onnxruntime-android:{RUNTIME_VERSION}:aar", ANNOTATIONS)
"""Of the package; an app may name a newer onnxruntime."""

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
# Annotations, which no code needs where it runs.
-dontwarn org.jspecify.annotations.**
"""
_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk=1
minCompileSdkExtension=0
minAndroidGradlePluginVersion=1.0.0
"""


def write_aar(
    output: str | os.PathLike[str],
    library: str | os.PathLike[str],
    classpath: str | None = None,
) -> None:
    """Write an ``.aar`` with the op library and the classes of ``pqv.onnx``.

    Args:
        output: the file to write.
        library: ``libpqv_ops.so`` for Android on arm64.
        classpath: of `classes_jar`.

    Raises:
        PqvError: the library breaks a rule of Android, the classes cannot be compiled, or
            ``output`` cannot be written.
    """
    check_writable(output)
    write_atomically(output, make_aar(library, classpath))


def write_maven(
    folder: str | os.PathLike[str],
    library: str | os.PathLike[str],
    classpath: str | None = None,
) -> Path:
    """Add the package, its sources and its POM to a folder that is a Maven repository.

    Args:
        folder: made if it is not there.
        library: ``libpqv_ops.so`` for Android on arm64.
        classpath: of `classes_jar`.

    Returns:
        The folder of the package in it.

    Raises:
        PqvError: as `write_aar`.
    """
    files = {".aar": make_aar(library, classpath), "-sources.jar": sources_jar()}
    return write_repository(folder, COORDINATES, files, DEPENDENCIES)


def make_aar(library: str | os.PathLike[str], classpath: str | None = None) -> bytes:
    """The bytes of the package; see `write_aar`."""
    check_built(library, ANDROID_LIBRARY)
    return make_zip(
        {
            "AndroidManifest.xml": _MANIFEST.encode(),
            "META-INF/com/android/build/gradle/aar-metadata.properties": _METADATA.encode(),
            "R.txt": b"",
            "classes.jar": classes_jar(classpath),
            f"jni/{ABI}/{LIBRARY}": Path(library).read_bytes(),
            "proguard.txt": _CONSUMER_RULES.encode(),
        }
    )
