"""What every test shares."""

from __future__ import annotations

import importlib.util
import os

import pytest


def pytest_configure() -> None:
    """One thread per worker under xdist: more only makes the workers wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ and importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_forced_isa(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PQV_ISA set in the shell must not decide which kernels the tests run."""
    monkeypatch.delenv("PQV_ISA", raising=False)
