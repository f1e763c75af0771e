"""ExecuTorch, LiteRT and ncnn for arm64, out of their wheels, on an emulated processor.

ExecuTorch is run by a program that is linked with its libraries, the others by Debian's Python for
arm64. Versions are those that made the files.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.arm64.blocks import Profile
from benchmarks.arm64.emulator import FOLDER, Cpu, cpu_info, profile_command, run
from benchmarks.end_to_end.folders import ROOT
from benchmarks.end_to_end.peers import CONTESTANTS, MOBILE
from benchmarks.end_to_end.pythons import find_python, versions
from pqv_onnx.errors import PqvError

# The Python that Debian 12 has, and the platforms whose wheels run on it.
_PYTHON = "3.11"
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_WHEELS = {"executorch": "executorch", "litert": "ai-edge-litert", "ncnn": "ncnn"}
_RUN = """
import ctypes, sys
from benchmarks.end_to_end.mobile_runtimes import OPENERS
runtime, model, marker = sys.argv[1:]
infer = OPENERS[runtime](model, 1)
marker = ctypes.CDLL(marker)
infer()
marker.Begin()
infer()
marker.End()
"""


def describe_wheels() -> dict[str, str]:
    """The versions that are counted, of those that are installed."""
    return versions(find_python(MOBILE), _WHEELS.values())


def profile_mobile(cpu: Cpu, name: str, model: Path) -> Profile:
    """The second inference of a contestant's session.

    Raises:
        PqvError: a tool is missing, or there is no wheel for arm64.
    """
    runtime = CONTESTANTS[name].runtime
    root = _debian_python()
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(cpu_info(cpu))
    command = _executorch(model) if runtime == "executorch" else _python(root, runtime, model)
    _, (profile,) = profile_command(cpu, root, *command)
    return profile


def _debian_python() -> Path:
    """A folder with Debian's Python for arm64, and the C and C++ libraries."""
    root = FOLDER / "debian"
    if not root.exists():
        if shutil.which("mmdebstrap") is None:
            raise PqvError(
                "mmdebstrap not found: Debian and Ubuntu have it in a package of its own"
            )
        part = root.with_name("debian.part")
        shutil.rmtree(part, ignore_errors=True)
        packages = f"python{_PYTHON},libstdc++6,libgcc-s1"
        options = ("--variant=extract", "--arch=arm64", f"--include={packages}")
        run("mmdebstrap", "--quiet", *options, "bookworm", part)
        part.rename(root)
    return root


def _wheel(runtime: str) -> Path:
    """A folder with a runtime's package for arm64, and for Python what it asks for."""
    package = _WHEELS[runtime]
    version = describe_wheels()[package]
    folder = FOLDER / f"{package}-{version}"
    if not folder.exists():
        part = folder.with_name(f"{package}.part")
        shutil.rmtree(part, ignore_errors=True)
        options = [f"--platform={name}_aarch64" for name in _PLATFORMS]
        options += [f"--python-version={_PYTHON}", "--only-binary=:all:", "--target", str(part)]
        if runtime == "executorch":
            options.append("--no-deps")
        pip = (sys.executable, "-m", "pip", "install", "--quiet", *options)
        run(*pip, f"{package}=={version}")
        part.rename(folder)
    return folder


def _python(root: Path, runtime: str, model: Path) -> tuple[str | Path, ...]:
    environment = {
        "PYTHONHOME": "/usr",
        "PYTHONPATH": f"{_wheel(runtime)}:{ROOT}",
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
    }
    settings = [word for pair in environment.items() for word in ("-E", "=".join(pair))]
    marker = FOLDER / "libmarker.so"
    source = Path(__file__).with_name("marker.c")
    run("aarch64-linux-gnu-gcc", "-O1", "-shared", "-fPIC", source, "-o", marker)
    python = root / "usr" / "bin" / f"python{_PYTHON}"
    return (*settings, python, "-c", _RUN, runtime, model, marker)


def _executorch(model: Path) -> tuple[str | Path, ...]:
    package = _wheel("executorch") / "executorch"
    program = FOLDER / "executorch_run"
    include, libraries = package / "include", package / "lib"
    names = ("", "_backend_xnnpack", "_kernels_optimized", "_kernels_quantized", "_threadpool")
    run(
        "aarch64-linux-gnu-g++", "-w", "-O1", "-std=c++17",
        "-DC10_USING_CUSTOM_GENERATED_MACROS", "-DET_EVENT_TRACER_ENABLED",
        f"-I{include}", f"-I{include}/executorch/runtime/core/portable_type/c10",
        Path(__file__).with_name("executorch_run.cc"), "-o", program,
        f"-L{libraries}", f"-Wl,--no-as-needed,-rpath,{libraries}",
        *(f"-lexecutorch{name}" for name in names),
    )  # fmt: skip
    return program, model
