"""Other ways to multiply, under emulation: the products are right, the instructions those meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.arm64 import emulator, multipliers
from benchmarks.arm64.blocks import CLASSES
from pqv_onnx.errors import PqvError
from tests.builds import need


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need("qemu-aarch64", "qemu-user")
    need("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    for module in (emulator, multipliers):
        monkeypatch.setattr(module, "BUILD", tmp_path)
    monkeypatch.setattr(emulator, "FOLDER", tmp_path)
    return tmp_path


def test_multiplications_per_product(folder: Path) -> None:
    """The program compares all products with plain ones, and fails where they differ."""
    counts = multipliers.count_multipliers()
    assert {name: round(1 / one["multiply"]) for name, one in counts.items()} == {
        "spliced": 16,
        "SMLAL, 8 to 16 bits": 8,
        "SMLAL, 16 to 32 bits": 4,
    }
    ours = multipliers.count_ours()
    for one in (counts | ours).values():
        assert one["total"] == pytest.approx(sum(one[key] for key in CLASSES))
    assert max(one["total"] for one in ours.values()) < min(one["total"] for one in counts.values())


def test_wrong_products_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(multipliers.__file__).with_name("multipliers.cc").read_text()
    wrong = folder / "multipliers.py"
    (folder / "multipliers.cc").write_text(source.replace("products[r], 8)", "products[r], 7)"))
    monkeypatch.setattr(multipliers, "__file__", str(wrong))
    with pytest.raises(PqvError, match="products differ"):
        multipliers.count_multipliers()
