"""``pqv android``: build, pack and time on Android phones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pqv_onnx.android.target import ABI, DEVICE_FOLDER, LIBRARY, RUNTIME_VERSION
from pqv_onnx.cli.options import MAX_THREADS, JsonOption, check_json, console, megabytes, write_json
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_writable, write_atomically

if TYPE_CHECKING:
    from pqv_onnx.android.adb import Device
    from pqv_onnx.android.bench import Plan
    from pqv_onnx.android.bundle import Bundle

app = typer.Typer(
    name="android",
    help="Android phones: build the op library, pack it, time models over adb.",
    no_args_is_help=True,
)

_BinariesOption = Annotated[
    Path, typer.Option(metavar="DIR", help="What `pqv android build` made.")
]
_ClasspathOption = Annotated[
    str | None,
    typer.Option(
        metavar="JARS",
        help="Jars of onnxruntime, Android and JSpecify, with : between them, to compile against. "
        "Default: a wheel has the classes compiled, elsewhere Maven gets the jars.",
    ),
]
_SerialOption = Annotated[
    str | None, typer.Option(metavar="SERIAL", help="The device, where adb finds several.")
]
_BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="A folder that `pqv android bundle` made.")
]


@app.command("build")
def build_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")
    ] = Path(ABI),
    ndk: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="An Android NDK, r26 or newer. Default: ANDROID_NDK_HOME; if that is not set, "
            "clang and lld build without one.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="custom_ops of a checkout. Default: this checkout's."),
    ] = None,
) -> None:
    """Build the op library and the runner for phones (arm64, Android 7.0 and newer).

    Example: `pqv android build`
    """
    from pqv_onnx.android.build import build

    built = build(output, ndk, source)
    for path in (built.library, built.runner):
        console.print(f"{path}  {megabytes(path.stat().st_size)}")


@app.command("bundle")
def bundle_command(
    model: Annotated[
        list[Path],
        typer.Option("--model", "-m", metavar="MODEL", help="An exported .onnx, repeatable."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.")
    ],
    fp32: Annotated[
        list[Path] | None,
        typer.Option(metavar="MODEL", help="An fp32 .onnx to compare with, repeatable."),
    ] = None,
    qdq: Annotated[
        list[Path] | None,
        typer.Option(metavar="MODEL", help="A QDQ int8 .onnx to compare with, repeatable."),
    ] = None,
    aar: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="onnxruntime-android's .aar. Default: Maven gets it."),
    ] = None,
    onnxruntime: Annotated[
        str, typer.Option(metavar="VERSION", help="The version that Maven gets.")
    ] = RUNTIME_VERSION,
    binaries: _BinariesOption = Path(ABI),
) -> None:
    """Make a folder with everything a phone needs: onnxruntime, op library, runner, models.

    Example: `pqv android bundle -m w4a4.onnx --fp32 float.onnx -o phone`
    """
    from pqv_onnx.android.build import find_binaries
    from pqv_onnx.android.bundle import write_bundle
    from pqv_onnx.android.onnxruntime_aar import fetched_aar, read_aar

    find_binaries(binaries)
    if aar is not None:
        runtime = read_aar(aar)
    else:
        with fetched_aar(onnxruntime) as fetched:
            runtime = read_aar(fetched)
    named = {"pqv": model, "fp32": fp32 or [], "qdq": qdq or []}
    models = [(kind, path) for kind, paths in named.items() for path in paths]
    made = write_bundle(output, models, binaries, runtime)
    for entry in made.manifest["files"]:
        console.print(f"{output / entry['path']}  {megabytes(entry['bytes'])}")
    console.print(f"onnxruntime {runtime.version}, {megabytes(made.size)} in all")


@app.command("push")
def push_command(bundle: _BundleArgument, serial: _SerialOption = None) -> None:
    """Copy BUNDLE to the phone's /data/local/tmp/pqv.

    Example: `pqv android push phone`
    """
    from pqv_onnx.android.adb import find_device
    from pqv_onnx.android.bundle import read_bundle
    from pqv_onnx.android.push import push

    read = read_bundle(bundle)
    device = find_device(serial)
    push(device, read)
    console.print(f"{device.serial}: {megabytes(read.size)} in {DEVICE_FOLDER}")


@app.command("bench")
def bench_command(
    bundle: _BundleArgument,
    serial: _SerialOption = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_THREADS, help="Threads, repeatable. Default: 1, 2, 4."),
    ] = None,
    cores: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CORES",
            help="all, big, little or a hexadecimal mask, repeatable. Default: all, and big "
            "where there are such.",
        ),
    ] = None,
    warmup: Annotated[int, typer.Option(min=1, help="Runs before timing.")] = 5,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs.")] = 50,
    pause: Annotated[
        float, typer.Option(min=0, help="Seconds of rest between two measurements.")
    ] = 5.0,
    profile: Annotated[
        bool, typer.Option("--profile", help="Put the time by op into the JSON, too.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a report in Markdown, beside what benchmarks/arm64 modelled: one file to "
            "send.",
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Time the models of BUNDLE on the phone, side by side; push it first if it is not there.

    A ratio above 1 means that the line takes that many times as long as the first line of its
    table.

    Example: `pqv android bench phone --threads 1 --threads 4 --json phone.json`
    """
    from pqv_onnx.android import bench
    from pqv_onnx.android.adb import find_device
    from pqv_onnx.android.bundle import read_bundle
    from pqv_onnx.android.push import is_pushed, push

    check_json(json_file, report)
    if report is not None:
        check_writable(report)
    read = read_bundle(bundle)
    device = find_device(serial)
    about = bench.describe_device(device)
    clocks = about["cpu_mhz"]
    chosen = (
        [bench.choose_cores(name, clocks) for name in cores]
        if cores
        else bench.default_cores(clocks)
    )
    plan = bench.Plan(threads or [1, 2, 4], chosen, runs, warmup, pause, profile)
    if not plan.settings:
        raise PqvError("no cores that --cores names are as many as any number of --threads")
    if not is_pushed(device, read):
        push(device, read)
    console.print(_device_line(about))
    _measure(device, read, plan, about, json_file, report)


@app.command("aar")
def aar_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The .aar to write.")
    ],
    binaries: _BinariesOption = Path(ABI),
    classpath: _ClasspathOption = None,
) -> None:
    """Write an Android library package: the op library, and classes that run models in apps.

    Example: `pqv android aar -o pqv-android.aar`
    """
    from pqv_onnx.android.aar import write_aar

    write_aar(output, binaries / LIBRARY, classpath)
    console.print(f"{output}  {megabytes(output.stat().st_size)}")


@app.command("maven")
def maven_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The repository's folder.")
    ],
    binaries: _BinariesOption = Path(ABI),
    classpath: _ClasspathOption = None,
) -> None:
    """Write the Android library package as a Maven repository that Gradle and Maven resolve.

    Example: `pqv android maven -o repository`
    """
    from pqv_onnx.android.aar import COORDINATES, write_maven

    folder = write_maven(output, binaries / LIBRARY, classpath)
    for path in sorted(folder.iterdir()):
        console.print(f"{path}  {megabytes(path.stat().st_size)}")
    console.print(COORDINATES)


@app.command("app")
def app_command(
    model: Annotated[
        Path, typer.Option("--model", "-m", metavar="MODEL", help="An exported classifier.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The project's folder.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the app. Default: that of the folder.")
    ] = None,
    package: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the app's classes, and its id. Default: org.example.NAME."
        ),
    ] = None,
    binaries: _BinariesOption = Path(ABI),
    classpath: _ClasspathOption = None,
) -> None:
    """Write an Android project: an app that shows what MODEL sees in a photo.

    It is a Gradle project in Kotlin, to open in Android Studio.

    Example: `pqv android app -m w4a4.onnx -o MyApp`
    """
    from pqv_onnx.android.app import choose_names, write_app

    names = choose_names(output, name, package)
    files = write_app(output, model, names, binaries / LIBRARY, classpath)
    console.print(f"{output}: {names.name}, {names.package}, {len(files)} files")
    console.print(f"next: open {output} in Android Studio, or do what {output / 'README.md'} says")


def _measure(
    device: Device,
    bundle: Bundle,
    plan: Plan,
    about: dict[str, Any],
    json_file: Path | None,
    report: Path | None,
) -> None:
    """Measure and show; what was measured before an error is shown and written, too."""
    from pqv_onnx.android.bench import measure
    from pqv_onnx.android.report import make_report

    total = len(plan.settings) * len(bundle.manifest["models"])
    results: list[dict[str, Any]] = []
    failure: PqvError | None = None
    try:
        for result in measure(device, bundle, plan):
            results.append(result)
    except PqvError as error:
        failure = error
    for threads, cores in plan.settings:
        entries = [r for r in results if (r["threads"], r["cores"]) == (threads, cores.name)]
        if entries:
            console.print(_table(f"threads {threads}, cores {cores.name}", entries))
    manifest = {key: value for key, value in bundle.manifest.items() if key != "files"}
    result = {
        "device": about,
        "bundle": manifest,
        "complete": failure is None,
        "results": results,
    }
    write_json(json_file, result)
    if report is not None:
        write_atomically(report, make_report(result, bundle).encode())
    if failure is not None:
        raise PqvError(f"{failure}; {len(results)} of {total} measurements were made") from failure


def _device_line(about: dict[str, Any]) -> str:
    name = " ".join(about[key] for key in ("manufacturer", "model", "soc") if about[key])
    clocks = sorted(about["cpu_mhz"], reverse=True)
    cores = [f"{clocks.count(mhz)} x {mhz:.0f} MHz" for mhz in dict.fromkeys(clocks)]
    return ", ".join([name, f"Android {about['android']}", *cores])


def _table(title: str, entries: list[dict[str, Any]]) -> Table:
    from pqv_onnx.android.models import KINDS

    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for heading in ("p50 ms", "p90", "p99", "ratio", "load ms", "MB", "°C", "MHz"):
        table.add_column(heading, justify="right")
    first = entries[0]["report"]["ms"]["p50"]
    for entry in entries:
        report = entry["report"]
        ms = report["ms"]
        table.add_row(
            f"{entry['name']} ({KINDS[entry['kind']]})",
            *(f"{ms[key]:.2f}" for key in ("p50", "p90", "p99")),
            f"{ms['p50'] / first:.2f}",
            f"{report['load_ms']:.0f}",
            _number(report["peak_memory_bytes"], 1e-6),
            _number(report["after"]["temperature"]),
            _number(max((c["mhz"] or 0 for c in report["after"]["clocks"]), default=0) or None),
        )
    return table


def _number(value: float | None, scale: float = 1) -> str:
    return "" if value is None else f"{value * scale:.0f}"
