"""The variants of every op agree bit for bit, whatever the shape, the values and the threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pqv_onnx.ops.domain import OPS
from pqv_onnx.packing import pack_weight
from tests.custom_ops.cases import large_inputs, packed_inputs, small_inputs
from tests.custom_ops.models import constant_inputs, library_info, make_model, make_session, run
from tests.ops.cases import random_case
from tests.ops.oracle import ORACLES

every_op = pytest.mark.parametrize("name", OPS)


@pytest.fixture(scope="module")
def simd() -> list[str]:
    """The variants to compare with scalar."""
    return [name for name in library_info()["available"] if name != "scalar"]


@every_op
@pytest.mark.parametrize("seed", range(12))
def test_scalar_is_the_words(name: str, seed: int) -> None:
    case = random_case(name, 5000 + seed, small=True)
    expected = ORACLES[name](case.inputs, case.attributes)
    np.testing.assert_array_equal(run(name, case.inputs, case.attributes, "scalar"), expected)


@every_op
@pytest.mark.parametrize("seed", range(60))
def test_simd_is_scalar(name: str, seed: int, simd: list[str]) -> None:
    case = random_case(name, 6000 + seed)
    expected = run(name, case.inputs, case.attributes, "scalar")
    for isa in simd:
        found = run(name, case.inputs, case.attributes, isa)
        np.testing.assert_array_equal(found, expected, f"{isa} {case.attributes}")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (1, 3072, 17),
        (5, 2049, 9),
        (3, 4097, 8),
        (9, 5, 1000),
        (2, 32768, 3),
        (40, 1100, 70),
        (17, 513, 33),
        (837, 18, 40),
        (421, 520, 520),
    ],
)
def test_long_and_wide_packed_matmuls(bits: int, m: int, k: int, n: int, simd: list[str]) -> None:
    name = f"PackedInt{bits}MatMul"
    inputs, attributes = packed_inputs(bits, m, k, n, np.random.default_rng(k))
    inputs["shift"][:] += k.bit_length() // 2
    expected = run(name, inputs, attributes, "scalar")
    for isa in simd:
        np.testing.assert_array_equal(run(name, inputs, attributes, isa), expected)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 7, 17), (3, 64, 100), (230, 65, 400), (41, 300, 1000)]
)
def test_fused_gelu_is_its_parts(bits: int, m: int, k: int, n: int) -> None:
    """Few rows and many, rows that end within a vector, tables with clipped ends."""
    rng = np.random.default_rng(n)
    inputs, attributes = packed_inputs(bits, m, k, n, rng)
    groups = next(count for count in (5, 1) if n % count == 0)
    table = rng.integers(-128, 128, (groups, 256)).astype(np.int8)
    table[0, :64] = 5
    table[-1, 192:] = -3
    x = run(f"PackedInt{bits}MatMul", inputs, attributes, "scalar")
    for isa in library_info()["available"]:
        for threads in (1, 2):
            fused = {**inputs, "table": table}
            found = run(f"PackedInt{bits}MatMulGELU", fused, attributes, isa, threads)
            wanted = table[np.arange(n) // (n // groups), x.astype(int) + 128]
            np.testing.assert_array_equal(found, wanted, isa)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums(bits: int, sign: int, simd: list[str]) -> None:
    """Every product at its limit: nothing may saturate on the way to int32."""
    k, limit = 32768, 2 ** (bits - 1) - 1
    inputs, attributes = packed_inputs(bits, 2, k, 9, np.random.default_rng(0))
    inputs["A"][:] = -128
    inputs["B"] = pack_weight(np.full((k, 9), sign * limit, np.int8), bits)
    inputs["bias"][:] = -sign * 2**29
    inputs["shift"][:] = np.arange(22, 31)
    name = f"PackedInt{bits}MatMul"
    expected = run(name, inputs, attributes, "scalar")
    assert np.array_equal(expected, ORACLES[name](inputs, {**attributes, "y_bits": 8}))
    for isa in simd:
        np.testing.assert_array_equal(run(name, inputs, attributes, isa), expected)


@pytest.mark.parametrize("value", [-128, 127])
def test_the_largest_sums_of_activations(value: int, simd: list[str]) -> None:
    k = 32768
    a = np.full((2, k), value, np.int8)
    b = np.stack([np.full(k, x, np.int8) for x in (-128, 127, 0)])
    w = np.full((2, k), 255, np.uint8)
    attributes = {"shift": -7, "multiplier": 32767}
    for isa in ["scalar", *simd]:
        product = run("IntMatMul", {"A": a, "B": b}, {}, isa)
        np.testing.assert_array_equal(product, a.astype(np.int64) @ b.T.astype(np.int64))
        mean = run("IntWeightedMean", {"W": w, "V": a.T.copy()}, attributes, isa)
        expected = run("IntWeightedMean", {"W": w, "V": a.T.copy()}, attributes, "scalar")
        np.testing.assert_array_equal(mean, expected)


@pytest.mark.parametrize(("tokens", "heads", "depth"), [(300, 2, 40), (1500, 1, 3), (5000, 1, 1)])
def test_attention_in_blocks_is_its_parts(
    tokens: int, heads: int, depth: int, simd: list[str]
) -> None:
    """More tokens than the logits of a block have rows, up to the smallest block."""
    rng = np.random.default_rng(tokens)
    qkv = rng.integers(-128, 128, (2, tokens, 3, heads, depth)).astype(np.int8)
    softmax = {"shift": 3, "multiplier": 20000, "log2": 1}
    mean = {"shift": -7, "multiplier": 20000}
    parts = np.ascontiguousarray(np.moveaxis(qkv, [2, 3], [0, 2]))
    attributes = {
        "num_heads": heads,
        "log2": softmax["log2"],
        **{f"softmax_{name}": softmax[name] for name in ("shift", "multiplier")},
        **{f"mean_{name}": value for name, value in mean.items()},
    }
    logits = run("IntMatMul", {"A": parts[0], "B": parts[1]}, {})
    weights = run("IntSoftmax2n", {"X": logits}, softmax)
    context = run("IntWeightedMean", {"W": weights, "V": parts[2]}, mean)
    expected = np.moveaxis(context, 1, 2).reshape(2, tokens, heads * depth)
    inputs = {"QKV": qkv.reshape(2, tokens, 3 * heads * depth)}
    for isa in simd:
        found = run("IntAttention", inputs, attributes, isa, threads=2)
        np.testing.assert_array_equal(found, expected, isa)


@every_op
def test_threads_change_nothing(name: str) -> None:
    """Work large enough to be cut into tasks."""
    rng = np.random.default_rng(7)
    inputs, attributes = large_inputs(name, rng)
    for isa in library_info()["available"]:
        expected = run(name, inputs, attributes, isa, threads=1)
        for threads in (2, 5):
            found = run(name, inputs, attributes, isa, threads)
            np.testing.assert_array_equal(found, expected, f"{isa}, {threads} threads")


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows_are_cut_by_channels(rows: int) -> None:
    rng = np.random.default_rng(rows)
    inputs, attributes = packed_inputs(8, rows, 2048, 4099, rng)
    inputs["shift"][:] = 10
    for isa in library_info()["available"]:
        expected = run("PackedInt8MatMul", inputs, attributes, isa, threads=1)
        found = run("PackedInt8MatMul", inputs, attributes, isa, threads=2)
        np.testing.assert_array_equal(found, expected)


def test_many_rows_are_cut_by_rows() -> None:
    """A batch whose rows do not stay in a cache, with one residual for all images."""
    rng = np.random.default_rng(3)
    inputs, attributes = packed_inputs(8, 1700, 520, 100, rng)
    inputs["A"] = inputs["A"].reshape(4, 425, 520)
    inputs["shift"][:] = 9
    inputs["residual"] = rng.integers(-128, 128, (1, 425, 100)).astype(np.int8)
    inputs["residual_multiplier"] = rng.integers(0, 32768, 100).astype(np.int16)
    for isa in library_info()["available"]:
        images = [
            run("PackedInt8MatMulAdd", {**inputs, "A": image[None]}, attributes, isa)
            for image in inputs["A"]
        ]
        found = run("PackedInt8MatMulAdd", inputs, attributes, isa)
        np.testing.assert_array_equal(found, np.concatenate(images), isa)


@every_op
def test_concurrent_runs_of_one_session(name: str) -> None:
    inputs, attributes = large_inputs(name, np.random.default_rng(8))
    session = make_session(make_model(name, inputs, attributes), threads=2)
    feeds = {k: v for k, v in inputs.items() if k not in constant_inputs(name)}
    (expected,) = session.run(None, feeds)
    with ThreadPoolExecutor(4) as pool:
        for (found,) in pool.map(lambda _: session.run(None, feeds), range(12)):
            np.testing.assert_array_equal(found, expected)


ZERO_SIZED = [
    ("PackedInt4MatMul", {"A": (0, 5)}, (0, 6)),
    ("PackedInt8MatMul", {"A": (3, 0, 5)}, (3, 0, 6)),
    ("PackedInt8MatMulToInt32", {"A": (2, 0, 5)}, (2, 0, 6)),
    ("PackedInt4MatMulAdd", {"A": (0, 5), "residual": (0, 6)}, (0, 6)),
    ("PackedInt8MatMulAdd", {"A": (0, 7, 5), "residual": (1, 7, 6)}, (0, 7, 6)),
    ("PackedInt4MatMulGELU", {"A": (0, 5)}, (0, 6)),
    ("PackedInt8MatMulGELU", {"A": (3, 0, 5)}, (3, 0, 6)),
    ("IntMatMul", {"A": (0, 3, 4), "B": (0, 2, 4)}, (0, 3, 2)),
    ("IntMatMul", {"A": (3, 4), "B": (0, 4)}, (3, 0)),
    ("IntMatMul", {"A": (2, 3, 0), "B": (2, 5, 0)}, (2, 3, 5)),
    ("IntSoftmax2n", {"X": (0, 3)}, (0, 3)),
    ("IntSoftmax2n", {"X": (3, 0)}, (3, 0)),
    ("IntSoftmax2nBias", {"X": (0, 3, 2, 49, 99)}, (0, 3, 2, 49, 99)),
    ("IntSoftmax2nBias", {"X": (0, 1, 4, 5), "bias": (1, 4, 5), "mask": (0, 4, 5)}, (0, 1, 4, 5)),
    ("IntSoftmax2nBias", {"X": (1, 1, 4, 0), "bias": (1, 4, 0), "mask": (1, 4, 0)}, (1, 1, 4, 0)),
    ("IntWeightedMean", {"W": (0, 4), "V": (4, 3)}, (0, 3)),
    ("IntWeightedMean", {"W": (2, 4, 0), "V": (2, 0, 3)}, (2, 4, 3)),
    ("IntWeightedMean", {"W": (2, 4), "V": (4, 0)}, (2, 0)),
    ("IntAttention", {"QKV": (0, 5, 12)}, (0, 5, 4)),
    ("IntAttention", {"QKV": (2, 0, 12)}, (2, 0, 4)),
    ("IntAttention", {"QKV": (2, 5, 0)}, (2, 5, 0)),
    ("IntWindowAttention", {"QKV": (0, 21, 28, 12)}, (0, 21, 28, 4)),
    ("IntWindowAttention", {"QKV": (1, 21, 28, 0)}, (1, 21, 28, 0)),
    ("IntWindowAttention", {"QKV": (1, 0, 28, 12), "mask": (1, 49, 49)}, (1, 0, 28, 4)),
    ("IntLayerNorm", {"X": (0, 7)}, (0, 7)),
    ("IntLayerNorm", {"X": (5, 0, 7)}, (5, 0, 7)),
    ("IntRMSNorm", {"X": (0, 7)}, (0, 7)),
    ("IntRMSNorm", {"X": (5, 0, 7)}, (5, 0, 7)),
    ("IntGELU", {"X": (0,)}, (0,)),
    ("IntGELU", {"X": (3, 0)}, (3, 0)),
    ("IntAdd", {"A": (0, 7), "B": (0, 7)}, (0, 7)),
    ("IntAdd", {"A": (0, 5, 7), "B": (1, 5, 7)}, (0, 5, 7)),
    ("IntAdd", {"A": (3, 0, 7), "B": (1, 0, 7)}, (3, 0, 7)),
    ("IntRotary", {"X": (0, 3, 1301, 22)}, (0, 3, 1301, 22)),
    (
        "IntRotary",
        {"X": (2, 0, 1301, 22), "cos": (1, 1301, 22), "sin": (1, 1301, 22)},
        (2, 0, 1301, 22),
    ),
    ("IntRotary", {"X": (2, 3, 0, 22), "cos": (3, 0, 22), "sin": (3, 0, 22)}, (2, 3, 0, 22)),
    ("IntRotary", {"X": (2, 3, 0, 22), "cos": (3, 1, 22), "sin": (3, 1, 22)}, (2, 3, 0, 22)),
    ("IntRotary", {"X": (2, 0, 5, 4), "cos": (0, 5, 4), "sin": (0, 5, 4)}, (2, 0, 5, 4)),
    ("IntRotary", {"X": (2, 3, 5, 0), "cos": (3, 5, 0), "sin": (3, 5, 0)}, (2, 3, 5, 0)),
    ("IntGate", {"A": (0,), "B": (0,)}, (0,)),
    ("IntGate", {"A": (3, 0), "B": (3, 0)}, (3, 0)),
]


@pytest.mark.parametrize("isa", ["scalar", None])
@pytest.mark.parametrize(("name", "shapes", "expected"), ZERO_SIZED)
def test_zero_sized_inputs(
    name: str, shapes: dict[str, tuple[int, ...]], expected: tuple[int, ...], isa: str | None
) -> None:
    inputs, attributes = small_inputs(name)
    for key, shape in shapes.items():
        inputs[key] = np.zeros(shape, inputs[key].dtype)
    y = run(name, inputs, attributes, isa)
    assert y.shape == expected
    assert not y.any()


@pytest.mark.parametrize("name", ["IntSoftmax2n"])
def test_values_out_of_range_do_no_harm(name: str) -> None:
    """Unspecified values, no fault."""
    x = np.array([[-(2**31), 2**31 - 1, 0, 5, 2**30 + 1] * 9], np.int32)
    for isa in library_info()["available"]:
        for shift in (-15, 0, 1, 30):
            for log2 in (0, 1):
                attributes = {"shift": shift, "multiplier": 32767, "log2": log2}
                assert run(name, {"X": x}, attributes, isa).shape == x.shape
