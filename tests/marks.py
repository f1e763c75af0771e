"""Marks of tests."""

from __future__ import annotations

import os

import pytest

slow = pytest.mark.skipif("PQV_SLOW" not in os.environ, reason="takes minutes; PQV_SLOW=1 runs it")
