"""Names of cores."""

from __future__ import annotations

import pytest

from pqv_onnx.android.bench import Cores, choose_cores, default_cores
from pqv_onnx.errors import PqvError

CLOCKS = [1800.0] * 4 + [2400.0] * 3 + [2800.0]


def test_names_of_cores() -> None:
    assert choose_cores("all", CLOCKS) == Cores("all", 0, 8)
    assert choose_cores("little", CLOCKS) == Cores("little", 0x0F, 4)
    assert choose_cores("big", CLOCKS) == Cores("big", 0xF0, 4)
    assert choose_cores("c0", CLOCKS) == Cores("c0", 0xC0, 2)
    assert choose_cores("c0", []) == Cores("c0", 0xC0, 2)
    assert choose_cores("all", []) == Cores("all", 0, None)


def test_the_default() -> None:
    assert [cores.name for cores in default_cores(CLOCKS)] == ["all", "big"]
    assert [cores.name for cores in default_cores([2000.0] * 4)] == ["all"]
    assert [cores.name for cores in default_cores([])] == ["all"]


@pytest.mark.parametrize("clocks", [[], [2000.0] * 4])
def test_cores_that_are_all_alike(clocks: list[float]) -> None:
    with pytest.raises(PqvError, match="--cores big: the device shows no cores of different"):
        choose_cores("big", clocks)
