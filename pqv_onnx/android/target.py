"""What is built for Android is named and asked for here."""

from __future__ import annotations

import hashlib

ABI = "arm64-v8a"
MINIMUM_API = 24
"""Android 7.0, as the toolchain files of ``custom_ops/cmake`` say."""

LIBRARY = "libpqv_ops.so"
RUNNER = "pqv_run"
RUNTIME = "libonnxruntime.so"
RUNTIME_VERSION = "1.22.0"
"""Of onnxruntime, where the user names none."""

DEVICE_FOLDER = "/data/local/tmp/pqv"
"""Of a bundle on a phone: programs may be run from there without root."""


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
