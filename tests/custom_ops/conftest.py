"""What the tests of the op library share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pqv_onnx.ops.domain import OPS
from tests.custom_ops.case_file import case_bytes
from tests.ops.cases import random_case
from tests.ops.oracle import ORACLES


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some valid cases of every op, and one whose attribute is refused."""
    folder, paths = tmp_path_factory.mktemp("cases"), []
    for op in OPS:
        for seed in range(4):
            case = random_case(op, 7000 + seed, small=True)
            expected = ORACLES[op](case.inputs, case.attributes)
            paths.append(folder / f"{op}.{seed}")
            paths[-1].write_bytes(case_bytes(op, case.inputs, case.attributes, expected))
    empty = {
        "IntMatMul": ({"A": np.zeros((3, 0), np.int8), "B": np.zeros((5, 0), np.int8)}, {}),
        "IntWeightedMean": (
            {"W": np.zeros((3, 0), np.uint8), "V": np.zeros((0, 5), np.int8)},
            {"shift": 0, "multiplier": 1, "y_bits": 8},
        ),
    }
    for op, (inputs, attributes) in empty.items():  # sums of nothing
        expected = ORACLES[op](inputs, attributes)
        paths.append(folder / f"{op}.empty")
        paths[-1].write_bytes(case_bytes(op, inputs, attributes, expected))
    bad = {"shift": 99, "multiplier": 1, "log2": 0}
    reason = "attribute shift is 99, expected [-15, 30]"
    paths.append(folder / "IntSoftmax2n.bad")
    x = np.zeros((2, 3), np.int32)
    paths[-1].write_bytes(case_bytes("IntSoftmax2n", {"X": x}, bad, reason))
    return paths
