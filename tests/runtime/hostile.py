"""Metadata and images that must be refused, by Python and by pqv_run alike."""

from __future__ import annotations

import struct
import zlib

NESTED = "[" * 100_000

BAD_FIELDS = [
    ("input_size", "[3, 24", "expected a list of numbers"),
    ("input_size", NESTED, "expected a list of numbers"),
    ("input_size", "3", "expected a list of numbers"),
    ("input_size", "[3, 24]", "has 2 numbers, expected 3"),
    ("input_size", "[3, 24, 24, 24]", "has 4 numbers, expected 3"),
    ("input_size", "[3, -32, -32]", "has -32, expected a whole number from 1 to 4096"),
    ("input_size", "[3, 0, 24]", "has 0, expected a whole number from 1 to 4096"),
    ("input_size", "[3, 4097, 24]", "has 4097, expected a whole number from 1 to 4096"),
    ("input_size", "[3, 4294443040, 4295491616]", "has 4294443040, expected a whole number"),
    ("input_size", "[3, 24.0, 24]", "expected a whole number from 1 to 4096"),
    ("mean", "0.5", "expected a list of numbers"),
    ("mean", "[0.5, 0.5]", "has 2 numbers, expected one for each of 3 channels"),
    ("mean", "[0.5, NaN, 0.5]", "expected"),
    ("mean", "[0.5, Infinity, 0.5]", "expected"),
    ("mean", "[0.5, 1e300, 0.5]", "expected a number from -1e+06 to 1e+06"),
    ("mean", "[0.5, 0x10, 0.5]", "expected a list of numbers"),
    ("std", "[0.5, 0, 0.5]", "has 0, expected a number from 1e-06 to 1e+06"),
    ("std", "[0.5, 0.5, -0.5]", "has -0.5, expected a number from 1e-06 to 1e+06"),
    ("std", "[0.5, 0.5, 0.5] 1", "expected a list of numbers"),
    ("std", "[0.5, 0.5, 0.5,]", "expected a list of numbers"),
    ("std", "[.5, 0.5, 0.5]", "expected a list of numbers"),
    ("crop_pct", "", "expected a number"),
    ("crop_pct", "wide", "expected a number"),
    ("crop_pct", "[0.9]", "expected a number"),
    ("crop_pct", "nan", "expected a number"),
    ("crop_pct", "0.9 0.9", "expected a number"),
    ("crop_pct", "0", "has 0, expected a number from 0.01 to 10"),
    ("crop_pct", "1e-7", "expected a number from 0.01 to 10"),
    ("crop_pct", "1e9", "expected a number from 0.01 to 10"),
    ("interpolation", "sinc", "is 'sinc', expected nearest or bilinear or bicubic or lanczos"),
    ("crop_mode", "border", "is 'border', expected center or squash"),
    ("input", "int8", "is 'int8', expected float or uint8 or image"),
    ("layout", "nhwc", "is 'nhwc', expected nchw"),
    ("layout", "chwn", "is 'chwn', expected nchw"),
]
"""Name, value, and what the one line says of it, where all else is as it should be: three channels,
24 x 24 pixels, float."""

EXTREMES = [
    ("mean", "[-1e6, 1000000, 1E-300]"),
    ("std", " [ 1e-6 ,\n1e+6,\t1.0 ] "),
    ("crop_pct", "0.01"),
    ("crop_pct", "10"),
    ("interpolation", "lanczos"),
]

TOO_LARGE = [
    ((20_000, 20_000), "(in its file|too large)"),
    ((11_586, 11_586), "in its file"),
    ((70_000, 1), "in its file"),
    ((1, 65_536), "in its file"),
    ((65_535, 1), "resized for the model"),
]
"""Width and height, and which of them is too large for a model of 24 x 24 pixels."""


def png_of_size(width: int, height: int) -> bytes:
    """A black PNG of so many pixels; without the pixels where there are too many."""
    rows = bytes(1 + width) * height if width * height <= 2**16 else b""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
