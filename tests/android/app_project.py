"""A project that `pqv android app` wrote, built and run without Gradle and without a phone.

aapt2 compiles its resources, Kotlin's compiler its sources, against Android 16 and the .aar of its
own repository; Robolectric runs its tests for phones, and those of tests/android/kotlin, on
Android 14 with onnxruntime's own library.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pqv_onnx.android.app import MODEL
from pqv_onnx.android.classes import ARTIFACTS
from pqv_onnx.android.target import LIBRARY, MINIMUM_API
from pqv_onnx.runtime.library import get_library_path
from tests.android.jvm import (
    FRAMEWORK,
    JUNIT,
    ROBOLECTRIC,
    SHORT_RUN,
    get_jars,
    join,
    read_verdicts,
    run,
    unpack,
)
from tests.builds import need

SOURCES = Path(__file__).with_name("kotlin")
PACKAGE = "org.example.myapp"
PICTURES = ("day", "night", "across", "empty")
"""What ScreenTest draws."""

_KOTLIN = "2.2.10"
"""As the Android Gradle plugin that the project names brings it."""

_COMPILER = f"org.jetbrains.kotlin:kotlin-compiler-embeddable:{_KOTLIN}"
_STANDARD_LIBRARY = f"org.jetbrains.kotlin:kotlin-stdlib:{_KOTLIN}"
_ANDROID = "org.robolectric:android-all:16-robolectric-13921718"
"""Of the API level that the project's compileSdk names."""

_QUICK = ("-Xmx1g", SHORT_RUN, "-XX:+UseSerialGC")
_ROBOLECTRIC = """sdk=34
graphicsMode=NATIVE
looperMode=INSTRUMENTATION_TEST
qualifiers=w411dp-h891dp-xhdpi
"""


def get_runtime() -> list[Path]:
    """What the app's tests run with; the classes of the package are compiled against it, too."""
    need("aapt2", "aapt")
    return get_jars(JUNIT, ROBOLECTRIC, FRAMEWORK, _STANDARD_LIBRARY, *ARTIFACTS)


class AppBuild:
    """The app of a project, whose package is ``PACKAGE``."""

    def __init__(self, project: Path, folder: Path, jars: Sequence[Path]) -> None:
        """Compile everything; `folder` is an empty one, `jars` are those of `get_runtime`."""
        self.folder = folder
        self.sources = project / "app" / "src"
        self.model = project / MODEL
        (package,) = project.rglob("*.aar")
        compiler = get_jars(_COMPILER, _ANDROID)
        (self.framework,) = (path for path in jars if "android-all-instrumented" in path.name)
        (self.oldest,) = (path for path in jars if path.name.startswith("android-all-7"))
        others = [path for path in jars if path not in (self.framework, self.oldest)]
        self.jars = unpack([*others, package], folder)
        self._link_resources()
        self._compile(compiler)
        self._configure()

    def _link_resources(self) -> None:
        """Resources, and R.java; by Android 7.0, too, which knows no attribute of later ones."""
        merged = (self.sources / "main" / "AndroidManifest.xml").read_text()
        merged = merged.replace("${applicationId}", PACKAGE)
        manifest = self.folder / "AndroidManifest.xml"
        manifest.write_text(merged.replace("<manifest ", f'<manifest package="{PACKAGE}" ', 1))
        compiled = self.folder / "resources.zip"
        run(["aapt2", "compile", "--dir", self.sources / "main" / "res", "-o", compiled])
        for android in (self.oldest, self.framework):
            levels = ["--min-sdk-version", MINIMUM_API, "--target-sdk-version", 36]
            files = ["--java", self.folder / "java", "-o", self.folder / "resources.apk"]
            link = ["aapt2", "link", "-I", android, "--manifest", manifest, *levels, *files]
            run([*link, "-A", self.sources / "main" / "assets", compiled])

    def _compile(self, compiler: list[Path]) -> None:
        (android,) = (path for path in compiler if "android-all" in path.name)
        classes = self.folder / "classes"
        run(["javac", "-d", classes, *(self.folder / "java").rglob("*.java")])
        command = ["java", *_QUICK, "-cp", join(compiler)]
        command += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect"]
        command += ["-jvm-target", "17", "-Werror", "-cp", join([classes, *self.jars, android])]
        run([*command, "-d", classes, self.sources, SOURCES])

    def _configure(self) -> None:
        """What Robolectric looks up among the classes."""
        settings = {
            "android_merged_manifest": self.folder / "AndroidManifest.xml",
            "android_merged_assets": self.sources / "main" / "assets",
            "android_resource_apk": self.folder / "resources.apk",
            "android_custom_package": PACKAGE,
        }
        place = self.folder / "classes" / "com" / "android" / "tools" / "test_config.properties"
        place.parent.mkdir(parents=True)
        place.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (self.folder / "classes" / "robolectric.properties").write_text(_ROBOLECTRIC)
        for name, file in (
            ("frameworks", self.framework),
            ("libraries", Path(get_library_path()).resolve()),
        ):
            (self.folder / name).mkdir()
            link = LIBRARY if name == "libraries" else file.name
            (self.folder / name / link).symlink_to(file)

    def run_tests(self, photo: Path, classes: str, *names: str) -> dict[str, str]:
        """What became of each test of some classes; pictures of the screen are in the folder.

        Args:
            photo: what the model looks at.
            classes: the numbers of the best five in it.
            names: the classes of tests.
        """
        options = {
            "java.library.path": self.folder / "libraries",
            "robolectric.offline": "true",
            "robolectric.dependency.dir": self.folder / "frameworks",
            "pqv.photo": photo,
            "pqv.classes": classes,
            "pqv.pictures": self.folder,
        }
        flags = [f"-D{name}={value}" for name, value in options.items()]
        opens = ["--add-opens", "java.base/java.io=ALL-UNNAMED"]
        path = join([self.folder / "classes", *self.jars, self.oldest])
        tests = [f"{PACKAGE}.{name}" for name in names]
        command = ["java", *_QUICK, *opens, "-cp", path, *flags, f"{PACKAGE}.RunKt", *tests]
        return read_verdicts(run(command))
