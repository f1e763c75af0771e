"""Maven: getting jars with its client, and a repository of our own package for apps."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pqv_onnx.android.process import capture, find_program, first_error
from pqv_onnx.errors import PqvError
from pqv_onnx.files import check_folder, make_folder, write_atomically

_PROJECT = """<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>{group}</groupId>
  <artifactId>{artifact}</artifactId>
  <version>{version}</version>
  <packaging>{packaging}</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
_DEPENDENCY = """    <dependency>
      <groupId>{}</groupId>
      <artifactId>{}</artifactId>
      <version>{}</version>{}
      <scope>compile</scope>
    </dependency>"""


def make_pom(name: str, packaging: str, dependencies: Iterable[str]) -> str:
    """A POM.

    Args:
        name: ``group:artifact:version``.
        packaging: ``jar``, ``aar`` or ``pom``.
        dependencies: ``group:artifact:version``, or with ``:aar`` behind them.
    """
    group, artifact, version = name.split(":")
    blocks = []
    for dependency in dependencies:
        *coordinates, kind = (*dependency.split(":"), "jar")[:4]
        blocks.append(
            _DEPENDENCY.format(
                *coordinates, "" if kind == "jar" else f"\n      <type>{kind}</type>"
            )
        )
    return _PROJECT.format(
        group=group,
        artifact=artifact,
        version=version,
        packaging=packaging,
        dependencies="\n".join(blocks),
    )


def resolve(artifacts: Sequence[str], advice: str) -> list[Path]:
    """The jars of artifacts and of what they depend on, which Maven gets where it lacks them.

    Args:
        artifacts: ``group:artifact:version`` each.
        advice: the end of the sentence where there is no Maven, or it fails.

    Raises:
        PqvError: there is no Maven, or it cannot get them.
    """
    maven = find_program("mvn", f"install Maven (Debian, Ubuntu: apt install maven); {advice}")
    with tempfile.TemporaryDirectory() as folder:
        pom = Path(folder) / "pom.xml"
        pom.write_text(make_pom("pqv:classpath:1", "pom", artifacts))
        found = Path(folder) / "classpath"
        options = ["-B", "-q", "-f", str(pom), f"-Dmdep.outputFile={found}"]
        done = capture([maven, *options, "dependency:build-classpath"], folder)
        if done.returncode or not found.is_file():
            cause = first_error(done, "[ERROR]").removeprefix("[ERROR] ")
            raise PqvError(f"Maven cannot get {', '.join(artifacts)}: {cause}; {advice}")
        return [Path(path) for path in found.read_text().strip().split(os.pathsep)]


def write_repository(
    folder: str | os.PathLike[str], name: str, files: dict[str, bytes], dependencies: Iterable[str]
) -> Path:
    """Add an artifact to a folder that Gradle and Maven take as a repository.

    Args:
        folder: made if it is not there.
        name: ``group:artifact:version``.
        files: by what follows the artifact and its version in their names, as ``.aar``, which is
            the packaging, or ``-sources.jar``.
        dependencies: as of `make_pom`.

    Returns:
        The folder of the artifact.

    Raises:
        PqvError: the folder cannot be written.
    """
    group, artifact, version = name.split(":")
    check_folder(folder)
    target = make_folder(Path(folder) / group.replace(".", "/") / artifact / version)
    pom = make_pom(name, next(iter(files)).removeprefix("."), dependencies)
    for suffix, data in {**files, ".pom": pom.encode()}.items():
        path = target / f"{artifact}-{version}{suffix}"
        write_atomically(path, data)
        write_atomically(Path(f"{path}.sha1"), hashlib.sha1(data).hexdigest().encode())
    return target
