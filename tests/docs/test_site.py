"""The site is built without a warning, is whole, and shows all public names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import pqv_onnx
from tests.builds import ROOT


@pytest.fixture(scope="module")
def site() -> Path:
    for package in ("zensical", "mkdocstrings"):
        if not os.environ.get("CI"):
            pytest.importorskip(package)
    done = subprocess.run(
        [ROOT / ".ci" / "build-docs"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


def pages_of(navigation: list[dict]) -> Iterator[str]:
    for entry in navigation:
        for target in entry.values():
            yield from pages_of(target) if isinstance(target, list) else [target]


def test_every_document_has_its_place() -> None:
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    listed = set(pages_of(project["nav"]))
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} <= listed
    assert [page for page in listed if not (ROOT / page).is_file()] == []


def test_every_public_name_is_there(site: Path) -> None:
    page = (site / "docs" / "api.html").read_text()
    names = set(pqv_onnx.__all__) - {"__version__"}
    assert {name for name in names if f'id="pqv_onnx.{name}"' not in page} == set()


def test_links_lead_somewhere(site: Path) -> None:
    """Images and files, too, which the builder does not look at."""
    dead = set()
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc and parts.path:
                target = page.parent / unquote(parts.path)
                if not (target.is_file() or (target / "index.html").is_file()):
                    dead.add((str(page.relative_to(site)), link))
    assert dead == set()
