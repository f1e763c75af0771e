"""Programs for arm64 on emulated processors, with their executed blocks counted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arm64.blocks import Profile, read_profiles
from benchmarks.end_to_end.folders import CACHE, ROOT
from pqv_onnx.errors import PqvError

FOLDER = CACHE / "arm64"
BUILD = FOLDER / "build"
NOISE = 0.01  # of the blocks of an inference may differ from run to run
_ATTEMPTS = 3  # until they do not
SYSTEM_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
# What is needed, and the Debian package that has it.
_TOOLS = {
    "cmake": "cmake",
    "qemu-aarch64": "qemu-user",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "cc": "gcc",
}


@dataclass(frozen=True)
class Cpu:
    """A processor that qemu emulates.

    Attributes:
        name: of it, for qemu.
        variant: which of our kernels it runs.
        big: a core whose model gives the cycles of whole models; one that has the instructions.
            Empty where llvm has none.
        little: a small one of the same generation.
        features: what it says of itself in /proc/cpuinfo, beyond those of every ARMv8.0.
        part: its part number there.
    """

    name: str
    variant: str
    big: str
    little: str
    features: str
    part: str

    @property
    def cores(self) -> dict[str, str]:
        """Those that are modelled, ``big`` and ``little``."""
        cores = {"big": self.big, "little": self.little}
        return {size: core for size, core in cores.items() if core}


_ARMV82 = "atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
_MAX = "max,sve=off,sme=off"  # with sve it is some twenty times slower
CPUS = {
    "neon": Cpu("cortex-a53", "neon", "neoverse-n1", "cortex-a53", "", "0xd03"),
    "dotprod": Cpu("cortex-a76", "dotprod", "neoverse-n1", "cortex-a55", _ARMV82, "0xd0b"),
    "i8mm": Cpu(_MAX, "i8mm", "neoverse-n2", "cortex-a510", f"{_ARMV82} i8mm", "0xd0b"),
    "sme": Cpu("max,sme512=on", "sme", "", "", f"{_ARMV82} i8mm", "0xd0b"),
}


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        reason = said[-1] if said else f"code {done.returncode}"
        raise PqvError(f"{Path(command[0]).name} failed: {reason}")
    return done.stdout


def check_tools() -> None:
    """Raises PqvError that names the first tool that is missing."""
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise PqvError(f"{tool} not found: Debian and Ubuntu have it in the package {package}")


def build() -> None:
    """Build our library, its programs and the plugin."""
    build_plugin()
    sources = ROOT / "custom_ops"
    run(
        "cmake", "--preset", "linux-arm64", "-B", BUILD, "-DPQV_BENCHMARKS=ON", "-DPQV_RUNNER=ON",
        cwd=sources,
    )  # fmt: skip
    run("cmake", "--build", BUILD, cwd=sources)


def build_plugin() -> None:
    check_tools()
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("block_count.c")
    run("cc", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", source, "-o", _plugin())


def _plugin() -> Path:
    return FOLDER / "libblock_count.so"


def onnxruntime_library() -> Path:
    """onnxruntime for arm64, of the version that is installed here; fetched by pip once."""
    from importlib.metadata import version

    folder = FOLDER / f"onnxruntime-{version('onnxruntime')}"
    pattern = "onnxruntime/capi/libonnxruntime.so.*"
    if not (found := list(folder.glob(pattern))):
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as wheels:
            run(
                sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--platform", "manylinux_2_28_aarch64", "--only-binary=:all:",
                "--dest", wheels, f"onnxruntime=={version('onnxruntime')}",
            )  # fmt: skip
            shutil.unpack_archive(next(Path(wheels).glob("*.whl")), folder, "zip")
        found = list(folder.glob(pattern))
    return found[0]


def prefix(cpu: Cpu) -> Path:
    """What the program sees as /: the libraries, and the emulated processor's /proc/cpuinfo."""
    root = FOLDER / cpu.variant
    (root / "proc").mkdir(parents=True, exist_ok=True)
    libraries = root / "lib"
    if not libraries.exists():
        libraries.symlink_to(SYSTEM_LIBRARIES)
    (root / "proc" / "cpuinfo").write_text(cpu_info(cpu))
    return root


def cpu_info(cpu: Cpu) -> str:
    """Its /proc/cpuinfo, without which onnxruntime crashes on an emulated processor."""
    lines = {
        "processor": "0",
        "BogoMIPS": "100.00",
        "Features": f"fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid {cpu.features}".strip(),
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": cpu.part,
        "CPU revision": "1",
    }
    return "".join(f"{name}\t: {value}\n" for name, value in lines.items()) + "\n"


def profile(cpu: Cpu, *command: str | Path) -> tuple[str, list[Profile]]:
    """Run a program of the build on an emulated processor.

    Args:
        cpu: which one.
        command: the program's name and its arguments.

    Returns:
        What it printed, and the profile of each of its regions.
    """
    return profile_command(cpu, prefix(cpu), BUILD / command[0], *command[1:])


def profile_command(cpu: Cpu, root: Path, *command: str | Path) -> tuple[str, list[Profile]]:
    """The same for any program, with what it sees as /; options of qemu may come first."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        dump = Path(folder) / "blocks"
        plugin = ("-plugin", f"{_plugin()},out={dump}")
        variant = ("-E", f"PQV_ISA={cpu.variant}")
        output = run("qemu-aarch64", "-L", root, "-cpu", cpu.name, *variant, *plugin, *command)
        return output, read_profiles(dump)


def profile_kernels(cpu: Cpu) -> dict[str, tuple[float, Profile]]:
    """The work (multiply-accumulates or elements) and the profile of each benchmarked kernel."""
    output, profiles = profile(cpu, "pqv_bench_kernels", "--count", cpu.variant)
    cases = [line.split("\t") for line in output.splitlines()]
    return {
        name: (float(work), profile)
        for (_, name, work), profile in zip(cases, profiles, strict=True)
    }


def profile_model(cpu: Cpu, model: Path) -> Profile:
    """One inference, by two runs less one: the second inference of a session.

    Raises:
        PqvError: the runs differ in more than the inference, each time: the machine disturbs them.
    """
    for _ in range(_ATTEMPTS):
        profiles = []
        for runs in ("1", "2"):
            command = ("--onnxruntime", onnxruntime_library(), "--warmup", "0", "--runs", runs)
            profiles += profile(cpu, "pqv_run", *command, model)[1]
        once, twice = profiles
        if sum((once - twice).values()) <= NOISE * sum((twice - once).values()):
            return twice - once
    raise PqvError(f"{model.name}: a run of one inference did what a run of two did not")


def describe() -> dict[str, str]:
    """The versions that the counts depend on."""
    from importlib.metadata import version

    first = {
        "qemu": run("qemu-aarch64", "--version"),
        "compiler": run("aarch64-linux-gnu-g++", "--version"),
    }
    versions = {name: text.splitlines()[0] for name, text in first.items()}
    return versions | {"onnxruntime": version("onnxruntime")}
