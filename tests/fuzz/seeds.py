"""Valid inputs of the fuzz targets, from which libFuzzer starts."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from pqv_onnx.ops.domain import OPS
from tests.custom_ops.case_file import node_bytes
from tests.ops.cases import random_case


def library() -> Iterator[bytes]:
    """Small cases of every op."""
    for op in OPS:
        for seed in range(3):
            case = random_case(op, seed, small=True)
            yield node_bytes(op, case.inputs, case.attributes)


def npy() -> Iterator[bytes]:
    """Arrays of the types that models take."""
    for kind, dtype in enumerate((np.float32, np.uint8, np.int8, np.int32)):
        file = io.BytesIO()
        np.save(file, np.zeros((2, 3, 8, 6), dtype))
        yield bytes([kind]) + file.getvalue()


def image() -> Iterator[bytes]:
    """Models of each kind of input, with metadata that fit them, and some pixels."""
    kinds = (("float", "nchw"), ("uint8", "nchw"), ("uint8", "nhwc"), ("image", "hwc"))
    for kind, names in enumerate(kinds):
        for filter_name, mode in (("bilinear", "center"), ("bicubic", "squash"), ("lanczos", "-")):
            entries = ["[3, 8, 6]", "[0.5, 0.5, 0.5]", "[0.5, 0.5, 0.5]", "0.9", filter_name, mode]
            text = "".join(f"{line}\n" for line in (*entries, *names))
            yield bytes([kind, 3, 8, 6, 20, 15]) + text.encode() + bytes(range(0, 256, 5))


def options() -> Iterator[bytes]:
    """Command lines of pqv_run."""
    yield b"m.onnx\nx.png\n--top\n3"
    yield b"--runs\n10\n--warmup\n0\n--threads\n2\n--cpu-mask\nff\n--profile\nm.onnx"
    yield b"--library\na.so\n--onnxruntime\nb.so\n--json\nj\n--output\no\nm.onnx\nx.npy"
    yield b"--functions\n--sysfs\n/sys\nm.onnx\nx.raw\ny.raw"


TARGETS = {"library": library, "npy": npy, "image": image, "options": options}
"""A fuzz target and what makes its seeds."""
