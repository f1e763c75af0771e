from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # recipes of the tests import ``striped``

import striped  # noqa: E402


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen training and sixteen validation images of two classes; do not change them."""
    return striped.make_folders(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Equal bits need equal sums, and small models run no faster on more threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """accelerate keeps one configuration per process; runs of the tests have several."""
    yield
    AcceleratorState._reset_state(True)
