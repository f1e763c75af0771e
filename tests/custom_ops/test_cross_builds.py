"""The library for macOS, cross-compiled by zig: what it exports and asks for.

Nothing here runs it.
"""

from __future__ import annotations

from tests.builds import cross_build, need_package

ENTRY_POINTS = {"RegisterCustomOps", "RegisterPqvCustomOps"}
LINKERS_OWN = {"_mh_dylib_header", "__dso_handle"}


def test_macos() -> None:
    need_package("lief")
    import lief

    path = cross_build("macos-arm64", "pqv_ops") / "libpqv_ops.dylib"
    library = lief.MachO.parse(str(path)).at(0)
    assert library.header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64
    (name,) = [command for command in library.commands if "ID_DYLIB" in str(command.command)]
    assert name.name == "@rpath/libpqv_ops.dylib"
    exported = {symbol.name.removeprefix("_") for symbol in library.exported_symbols}
    assert exported - LINKERS_OWN == ENTRY_POINTS
    asked = {entry.name for entry in library.libraries} - {name.name}
    assert asked == {"/usr/lib/libSystem.B.dylib"}
