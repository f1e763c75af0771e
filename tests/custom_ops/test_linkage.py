"""No code of one instruction set can stand in for another's."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.builds import build


@pytest.mark.parametrize("preset", ["host", "linux-arm64"])
def test_files_of_kernels_share_no_symbols(preset: str) -> None:
    """Of functions that several files have with external linkage the linker keeps one."""
    objects = build(preset, "pqv_kernels") / "CMakeFiles" / "pqv_kernels.dir" / "kernels"
    files: dict[str, set[str]] = defaultdict(set)
    for path in objects.rglob("*.o"):
        for name in shared_symbols(path):
            files[name].add(path.name)
    assert files, "nothing was built"
    assert not {name: found for name, found in files.items() if len(found) > 1}


def shared_symbols(path: Path) -> set[str]:
    """The defined symbols of an object file that are not its own alone."""
    with open(path, "rb") as file:
        symbols = ELFFile(file).get_section_by_name(".symtab").iter_symbols()
        return {
            symbol.name
            for symbol in symbols
            if symbol["st_info"]["bind"] != "STB_LOCAL" and symbol["st_shndx"] != "SHN_UNDEF"
        }
