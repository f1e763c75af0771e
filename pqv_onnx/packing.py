"""Weights in the order the kernels read them: layout ``n8k4.v1`` of ``docs/ops.md``.

Output channels go in panels of 8, input channels in groups of 4. 8-bit weights take one
byte each; of 4-bit weights, channel c of a panel is the low nibble and channel c + 4 the
high nibble of a byte. Imports no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pqv_onnx.errors import PqvError
from pqv_onnx.ops.domain import MAX_CHANNELS, MAX_REDUCTION

_PANEL = 8
_GROUP = 4


def packed_shape(k: int, n: int, bits: int) -> tuple[int, int, int]:
    """Shape of the packed form of a weight [k, n].

    Args:
        k: Input channels, in [1, 32768].
        n: Output channels, in [1, 2^24].
        bits: 4 or 8.

    Returns:
        ``(ceil(n/8), ceil(k/4), 16 or 32)``.

    Raises:
        PqvError: An argument is out of its range.
    """
    if bits not in (4, 8):
        raise PqvError(f"a packed weight has 4 or 8 bits, found {bits}")
    if not 1 <= k <= MAX_REDUCTION:
        raise PqvError(f"K of a packed weight must be in [1, {MAX_REDUCTION}], found {k}")
    if not 1 <= n <= MAX_CHANNELS:
        raise PqvError(f"N of a packed weight must be in [1, {MAX_CHANNELS}], found {n}")
    return -(-n // _PANEL), -(-k // _GROUP), _PANEL * _GROUP * bits // 8


def pack_weight(weight: NDArray[np.int8], bits: int) -> NDArray[np.uint8] | NDArray[np.int8]:
    """Packs a weight matrix.

    Args:
        weight: int8 [K, N], input channels first; values in [-7, 7] for 4 bits and in
            [-127, 127] for 8.
        bits: 4 or 8.

    Returns:
        uint8 [ceil(N/8), ceil(K/4), 16] for 4 bits, int8 [ceil(N/8), ceil(K/4), 32] for 8.

    Raises:
        PqvError: The dtype, rank, size or a value is not as above.
    """
    if weight.dtype != np.int8 or weight.ndim != 2:
        raise PqvError(f"a weight to pack must be int8 [K, N], found {_describe(weight)}")
    k, n = weight.shape
    panels, groups, _ = packed_shape(k, n, bits)
    _check_symmetric(weight, bits)
    padded = np.zeros((groups * _GROUP, panels * _PANEL), np.int8)
    padded[:k, :n] = weight
    tiles = padded.reshape(groups, _GROUP, panels, _PANEL).transpose(2, 0, 3, 1)
    codes = np.ascontiguousarray(tiles).reshape(panels, groups, _PANEL * _GROUP)
    if bits == 8:
        return codes
    nibbles = codes.view(np.uint8) & 15
    half = nibbles.shape[2] // 2
    return nibbles[:, :, :half] | (nibbles[:, :, half:] << 4)


def unpack_weight(packed: NDArray[np.generic], k: int, n: int, bits: int) -> NDArray[np.int8]:
    """Undoes `pack_weight`, and checks everything it promises.

    Args:
        packed: uint8 [ceil(n/8), ceil(k/4), 16] for 4 bits, int8 [.., .., 32] for 8.
        k: Input channels.
        n: Output channels.
        bits: 4 or 8.

    Returns:
        int8 [k, n].

    Raises:
        PqvError: The dtype or shape is not as above, a value is outside of the symmetric
            range, or the padding is not zero.
    """
    shape = packed_shape(k, n, bits)
    dtype = np.uint8 if bits == 4 else np.int8
    if packed.dtype != dtype or packed.shape != shape:
        raise PqvError(
            f"a {bits}-bit weight with K={k} and N={n} is packed as {np.dtype(dtype)} "
            f"{list(shape)}, found {_describe(packed)}"
        )
    tiles = packed
    if bits == 4:
        nibbles = packed.astype(np.uint8)
        # Two's complement of 4 bits: flipping the sign bit adds 8.
        tiles = (np.concatenate([nibbles & 15, nibbles >> 4], axis=2) ^ 8).astype(np.int8) - 8
    panels, groups, _ = shape
    tiles = tiles.reshape(panels, groups, _PANEL, _GROUP).transpose(1, 3, 0, 2)
    padded = tiles.reshape(groups * _GROUP, panels * _PANEL).astype(np.int8)
    _check_symmetric(padded, bits)
    if padded[k:].any() or padded[:, n:].any():
        raise PqvError(f"a packed weight with K={k} and N={n} has padding that is not zero")
    return np.ascontiguousarray(padded[:k, :n])


def _check_symmetric(weight: NDArray[np.int8], bits: int) -> None:
    limit = 2 ** (bits - 1) - 1
    low, high = int(weight.min()), int(weight.max())
    if low < -limit or high > limit:
        raise PqvError(f"{bits}-bit weights must be in [-{limit}, {limit}], found [{low}, {high}]")


def _describe(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"
