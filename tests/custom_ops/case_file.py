"""Case files of the programs in ``tests/custom_ops/host`` and of the fuzz target of the library."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import numpy as np

from pqv_onnx.ops.domain import OPS
from tests.custom_ops.models import constant_inputs

ELEMENT_TYPES = {"uint8": 2, "int8": 3, "int16": 5, "int32": 6}


def text_bytes(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode()


def tensor_bytes(array: np.ndarray) -> bytes:
    """Element type, rank and dimensions as uint32, then the elements."""
    header = [ELEMENT_TYPES[str(array.dtype)], array.ndim, *array.shape]
    return struct.pack(f"<{len(header)}I", *header) + np.ascontiguousarray(array).tobytes()


def node_bytes(op: str, inputs: dict[str, np.ndarray], attributes: dict[str, object]) -> bytes:
    """The op, its attributes (name, whether text, value), its inputs (whether constant, tensor)."""
    parts = [text_bytes(op), struct.pack("<I", len(attributes))]
    for name, value in attributes.items():
        parts.append(text_bytes(name) + struct.pack("<I", isinstance(value, str)))
        parts.append(text_bytes(value) if isinstance(value, str) else struct.pack("<q", value))
    parts.append(struct.pack("<I", len(inputs)))
    constant = constant_inputs(op)
    for name, array in inputs.items():
        parts.append(struct.pack("<I", name in constant) + tensor_bytes(array))
    return b"".join(parts)


def case_bytes(
    op: str,
    inputs: dict[str, np.ndarray],
    attributes: dict[str, object],
    expected: np.ndarray | str,
) -> bytes:
    """A node, and what must come: an error, or an empty text and a tensor."""
    node = node_bytes(op, inputs, attributes)
    if isinstance(expected, str):
        return node + text_bytes(expected)
    return node + text_bytes("") + tensor_bytes(expected)


def drive(
    command: list[str | Path], library: str | Path, cases: list[Path], isa: str | None = None
) -> None:
    """Run ``pqv_abi_host`` on cases, all of which must pass."""
    environment = {key: value for key, value in os.environ.items() if key != "PQV_ISA"}
    if isa is not None:
        environment["PQV_ISA"] = isa
    done = subprocess.run(
        [*command, library, *cases], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The ops of docs/ops.md, and Info.
    assert done.stdout.strip().endswith(f"{len(OPS) + 1} ops, {len(cases)} cases passed")
