"""The packed layout: round trips, the order of the bytes, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqv_onnx.errors import PqvError
from pqv_onnx.packing import pack_weight, packed_shape, unpack_weight

seeded = settings(deadline=None, derandomize=True)


def random_weight(k: int, n: int, bits: int, seed: int = 0) -> np.ndarray:
    limit = 2 ** (bits - 1) - 1
    return np.random.default_rng(seed).integers(-limit, limit, (k, n), np.int8, endpoint=True)


@seeded
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([4, 8]), st.integers(0, 99))
def test_round_trip(k: int, n: int, bits: int, seed: int) -> None:
    weight = random_weight(k, n, bits, seed)
    packed = pack_weight(weight, bits)
    assert packed.shape == packed_shape(k, n, bits)
    assert packed.dtype == (np.uint8 if bits == 4 else np.int8)
    assert packed.flags.c_contiguous
    unpacked = unpack_weight(packed, k, n, bits)
    assert unpacked.dtype == np.int8
    assert np.array_equal(unpacked, weight)


def test_order_of_int8() -> None:
    weight = random_weight(10, 19, 8)
    packed = pack_weight(weight, 8)
    for p, g, c, j in np.ndindex(3, 3, 8, 4):
        k, n = 4 * g + j, 8 * p + c
        expected = weight[k, n] if k < 10 and n < 19 else 0
        assert packed[p, g, 4 * c + j] == expected


def test_order_of_int4() -> None:
    weight = random_weight(10, 19, 4)
    packed = pack_weight(weight, 4)
    for p, g, c, j in np.ndindex(3, 3, 4, 4):
        byte = int(packed[p, g, 4 * c + j])
        for nibble, channel in ((byte & 15, c), (byte >> 4, c + 4)):
            k, n = 4 * g + j, 8 * p + channel
            expected = int(weight[k, n]) if k < 10 and n < 19 else 0
            assert nibble == expected & 15


@pytest.mark.parametrize(
    ("weight", "bits", "message"),
    [
        (np.full((2, 3), -8, np.int8), 4, r"in \[-7, 7\], found \[-8, -8\]"),
        (np.full((2, 3), 8, np.int8), 4, r"in \[-7, 7\]"),
        (np.full((2, 3), -128, np.int8), 8, r"in \[-127, 127\]"),
        (np.zeros((2, 3), np.int16), 8, r"int8 \[K, N\], found int16 \[2, 3\]"),
        (np.zeros((2, 3, 4), np.int8), 8, r"found int8 \[2, 3, 4\]"),
        (np.zeros((0, 3), np.int8), 8, r"K of a packed weight must be in \[1, 32768\], found 0"),
        (np.zeros((3, 0), np.int8), 8, r"N of a packed weight must be in \[1, 16777216\], found 0"),
        (np.zeros((32769, 1), np.int8), 8, "found 32769"),
        (np.zeros((2, 3), np.int8), 2, "4 or 8 bits, found 2"),
    ],
)
def test_pack_errors(weight: np.ndarray, bits: int, message: str) -> None:
    with pytest.raises(PqvError, match=message):
        pack_weight(weight, bits)


@pytest.mark.parametrize(
    ("packed", "bits", "message"),
    [
        (np.zeros((1, 2, 16), np.int8), 4, r"packed as uint8 \[1, 2, 16\], found int8 \[1, 2, 16"),
        (np.zeros((1, 2, 32), np.uint8), 8, r"packed as int8 \[1, 2, 32\]"),
        (np.zeros((1, 2, 32), np.uint8), 4, r"found uint8 \[1, 2, 32\]"),
        (np.zeros((2, 2, 16), np.uint8), 4, r"found uint8 \[2, 2, 16\]"),
        (np.full((1, 2, 16), 0x88, np.uint8), 4, r"in \[-7, 7\], found \[-8, -8\]"),
        (np.full((1, 2, 32), -128, np.int8), 8, r"in \[-127, 127\]"),
        (np.full((1, 2, 16), 0x11, np.uint8), 4, "padding that is not zero"),
        (np.full((1, 2, 32), 1, np.int8), 8, "padding that is not zero"),
    ],
)
def test_unpack_errors(packed: np.ndarray, bits: int, message: str) -> None:
    with pytest.raises(PqvError, match=message):
        unpack_weight(packed, 5, 6, bits)
