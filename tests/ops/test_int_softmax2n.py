"""IntSoftmax2n and IntSoftmax2nBias: every distance from the maximum, and logits beyond int16."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pqv_onnx.ops.fixed_point import softmax_bias, softmax_scale, weighted_mean_scale
from pqv_onnx.ops.int_softmax2n import softmax_weights
from tests.ops.oracle import (
    int_attention,
    int_softmax2n,
    int_softmax2n_bias,
    int_window_attention,
)
from tests.ops.single_op import (
    assert_same,
    library_variants,
    run_function,
    run_library,
    run_torch,
)

NAME = "IntSoftmax2n"
EVERY_LOGIT = np.arange(-32768, 32768, dtype=np.int32)[None]


@pytest.mark.parametrize("log2", [0, 1])
def test_every_distance(log2: int) -> None:
    inputs = {"X": EVERY_LOGIT}
    attributes = {"shift": 0, "multiplier": 32767, "log2": log2}
    # The oracle looks for the maximum once per element: give it a row of distinct logits.
    picked = np.unique(np.concatenate([np.arange(0, 65536, 97), np.arange(62900, 65536)]))
    expected = int_softmax2n({"X": EVERY_LOGIT[:, picked]}, attributes)
    y = run_torch(NAME, inputs, attributes)
    assert_same(y[:, picked], expected, "torch")
    assert_same(run_function(NAME, inputs, attributes), y, "function")
    for isa in library_variants():
        assert_same(run_library(NAME, inputs, attributes, isa), y, isa)


def test_uniform_is_a_power_of_two() -> None:
    """255 * 2^(-d / 256) within 0.2% and the rounding of the output."""
    attributes = {"shift": 0, "multiplier": 32767, "log2": 0}
    y = run_torch(NAME, {"X": EVERY_LOGIT}, attributes)[0].astype(np.float64)
    z = (EVERY_LOGIT[0].astype(np.float64) * 32767 / 2**15).round()
    real = 255 * 2.0 ** ((z - z.max()) / 256)
    assert np.all(np.abs(y - real) <= 0.002 * real + 1)
    assert y.max() == 255


def assert_everywhere(
    name: str, inputs: dict[str, np.ndarray], attributes: dict[str, int], expected: np.ndarray
) -> None:
    assert_same(run_torch(name, inputs, attributes), expected, "torch")
    assert_same(run_function(name, inputs, attributes), expected, "function")
    for isa in library_variants():
        assert_same(run_library(name, inputs, attributes, isa), expected, isa)


def without_effect(x: np.ndarray) -> dict[str, np.ndarray]:
    """A bias and a mask for logits [1, 1, M, N] that change nothing."""
    return {"bias": np.zeros(x.shape[-3:], np.int16), "mask": np.zeros(x.shape[-3:], np.uint8)}


@pytest.mark.parametrize("log2", [0, 1])
@pytest.mark.parametrize("shift", [-15, -5, 0, 14, 15, 16, 30])
def test_extreme_logits(shift: int, log2: int) -> None:
    largest = 2**29
    ends = np.array([[-largest, largest, 0, largest - 1], [-largest] * 4, [largest] * 4], np.int32)[
        None, None
    ]
    for multiplier in (1, 2304, 32767):
        attributes = {"shift": shift, "multiplier": multiplier, "log2": log2}
        expected = int_softmax2n({"X": ends}, attributes)
        assert_everywhere(NAME, {"X": ends}, attributes, expected)
        inputs = {"X": ends, **without_effect(ends)}
        assert_everywhere("IntSoftmax2nBias", inputs, attributes, expected)
        bias = np.resize(np.array([32767, -32768, -1, 5, -32768], np.int16), (1, 3, 4))
        inputs = {"X": ends, "bias": bias, "mask": np.eye(3, 4, dtype=np.uint8)[None]}
        expected = int_softmax2n_bias(inputs, attributes)
        assert_everywhere("IntSoftmax2nBias", inputs, attributes, expected)


LARGE = np.array([300, 299.5, 0, -300, 299, 293, 292])
"""Logits in log2 units, most of them beyond the 128 that int16 holds with 8 fraction bits."""
LARGE_WEIGHTS = {0: [255, 180, 0, 0, 128, 2, 1], 1: [128, 64, 0, 0, 64, 1, 0]}


@pytest.mark.parametrize("log2", [0, 1])
@pytest.mark.parametrize("unit", [2.0**-14, 0.75 * 2.0**-8, 0.5, 2.0**-1 * 0.9])
@pytest.mark.parametrize("offset", [0, 300, -700])
def test_large_logits_keep_their_differences(offset: int, unit: float, log2: int) -> None:
    """Only how far below the row's maximum a logit is counts, not how large it is."""
    shift, multiplier = softmax_scale(unit)
    x = np.rint((LARGE + offset) / unit).astype(np.int32)[None, None, None]
    attributes = {"shift": shift, "multiplier": multiplier, "log2": log2}
    expected = int_softmax2n({"X": x}, attributes)
    if unit in (2.0**-14, 0.5):
        assert expected.ravel().tolist() == LARGE_WEIGHTS[log2]
    assert_everywhere(NAME, {"X": x}, attributes, expected)
    inputs = {"X": x, **without_effect(x)}
    assert_everywhere("IntSoftmax2nBias", inputs, attributes, expected)


@pytest.mark.parametrize("log2", [0, 1])
def test_large_logits_with_bias(log2: int) -> None:
    """A bias that lifts a logit to the largest one, far beyond int16, and a larger one excluded."""
    shift, multiplier = softmax_scale(0.5)
    x = np.array([600, 480, 2000, 598], np.int32)[None, None, None]
    bias = softmax_bias([0, 60, 0, 1], multiplier)[None, None]
    mask = np.array([0, 0, 1, 0], np.uint8)[None, None]
    inputs = {"X": x, "bias": bias, "mask": mask}
    attributes = {"shift": shift, "multiplier": multiplier, "log2": log2}
    top = 128 if log2 else 255
    expected = np.array([top, top, 0, top], np.uint8)[None, None, None]
    assert_same(int_softmax2n_bias(inputs, attributes), expected, "oracle")
    assert_everywhere("IntSoftmax2nBias", inputs, attributes, expected)


@pytest.mark.parametrize("tokens", [3, 70])
@pytest.mark.parametrize("log2", [0, 1])
def test_large_logits_in_attention(tokens: int, log2: int) -> None:
    """Of 300, 299.5 and 0 log2 units, the others zero, the second half as likely as the first."""
    q = np.resize([100, 80], (tokens, 2))
    k, v = np.zeros((tokens, 2)), np.zeros((tokens, 2))
    k[:2], v[:3] = [[120, 0], [119, 1]], [[100, 0], [0, 100], [-100, -100]]
    qkv = np.concatenate([q, k, v], 1).astype(np.int8)
    (shift, multiplier), mean = softmax_scale(300 / 12000), weighted_mean_scale(1.0)
    attributes = {
        **{"softmax_shift": shift, "softmax_multiplier": multiplier, "log2": log2},
        **{"mean_shift": mean[0], "mean_multiplier": mean[1], "y_bits": 8},
    }
    expected = np.resize(np.array([67, 33] if log2 else [59, 41], np.int8), (tokens, 2))
    one_head = {"num_heads": 1, **attributes}
    assert_same(int_attention({"QKV": qkv}, one_head), expected, "oracle")
    assert_everywhere("IntAttention", {"QKV": qkv}, one_head, expected)

    window = {"window_height": 1, "window_width": tokens, "roll_height": 0, "roll_width": 0}
    pairs = (1, tokens, tokens)
    inputs = {"QKV": qkv[None], "bias": np.zeros(pairs, np.int16), "mask": np.zeros(pairs, "uint8")}
    assert_same(int_window_attention(inputs, window | attributes), expected[None], "oracle")
    assert_everywhere("IntWindowAttention", inputs, window | attributes, expected[None])
    # The other way round by a bias of a log2 unit, which also lifts the third place by 60.
    inputs["bias"][..., 1:3] = softmax_bias([1, 60], multiplier)
    expected = np.resize(np.array([33, 67] if log2 else [41, 59], np.int8), (1, tokens, 2))
    assert_same(int_window_attention(inputs, window | attributes), expected, "oracle")
    assert_everywhere("IntWindowAttention", inputs, window | attributes, expected)


@pytest.mark.parametrize("log2", [False, True])
@pytest.mark.parametrize("shift", [-4, 0, 3])
def test_weights_for_training(shift: int, log2: bool) -> None:
    """Shift and multiplier may be tensors; X, bias and excluded stay as they are."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-(2**20), 2**20, (3, 2, 5, 7), generator=generator, dtype=torch.int32)
    bias = torch.randint(-9999, 9999, (2, 5, 7), generator=generator, dtype=torch.int16)
    excluded = torch.rand((3, 1, 5, 7), generator=generator) < 0.3
    tensors = (torch.tensor(shift, dtype=torch.int32), torch.tensor(20000, dtype=torch.int32))
    before = [part.clone() for part in (x, bias, excluded)]
    for pair in ((None, None), (bias, None), (None, excluded), (bias, excluded)):
        expected = softmax_weights(x, shift, 20000, log2, *pair)
        assert torch.equal(softmax_weights(x, *tensors, log2, *pair), expected)
        assert expected.dtype == torch.uint8
    assert all(torch.equal(*parts) for parts in zip(before, (x, bias, excluded), strict=True))
    with_zeros = softmax_weights(x, shift, 20000, log2, torch.zeros_like(bias), excluded)
    assert torch.equal(softmax_weights(x, shift, 20000, log2, None, excluded), with_zeros)
