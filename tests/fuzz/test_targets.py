"""The fuzz targets run over their seeds and some mutations of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.runs import fuzz, write_seeds
from tests.fuzz.seeds import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_mutations(target: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    write_seeds(target, corpus)
    run = fuzz(target, corpus, "-runs=3000", "-seed=1")
    assert not run.report
    assert run.executions >= 3000
