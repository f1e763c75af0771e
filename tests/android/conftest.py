"""What the tests of the Android side share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builds import build


@pytest.fixture(scope="session")
def android_build() -> Path:
    """Folder of libpqv_ops.so and pqv_run for Android, built without an NDK."""
    return build("android-nondk", "pqv_ops", "pqv_run")
