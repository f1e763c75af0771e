"""Rules that a built library or program must keep to load on every system it is for."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pqv_onnx.errors import PqvError

EXPORTS = frozenset({"RegisterCustomOps", "RegisterPqvCustomOps"})
"""What ``libpqv_ops.so`` exports: for registration by path, and by the name of a function."""

_BROKEN = (ELFError, AssertionError, AttributeError, KeyError, OverflowError, ValueError)
"""What pyelftools raises where offsets and sizes in a file make no sense."""

_EXECUTE, _WRITE = 1, 2
_NOW_FLAG, _NOW_FLAG_1 = 0x8, 0x1


@dataclass(frozen=True)
class Rules:
    """What a system asks of a file.

    Attributes:
        machine: the architecture, by its ELF name.
        needed: libraries of the system that the file may need.
        page_size: every segment must be aligned to it, and the part that becomes read-only must
            end with a page of it.
        exports: the symbols that a library must export, no more and no fewer.
        soname: the name a library must call itself, None for programs.
    """

    machine: str
    needed: frozenset[str]
    page_size: int
    exports: frozenset[str]
    soname: str | None


ANDROID_LIBRARY = Rules(
    machine="EM_AARCH64",
    needed=frozenset({"libc.so", "libm.so", "libdl.so"}),
    page_size=0x4000,
    exports=EXPORTS,
    soname="libpqv_ops.so",
)
"""Rules of the op library on Android: pages may have 16 KB, the app stores refuse text
relocations, and nothing may need more than API level 24 has."""

ANDROID_PROGRAM = Rules(
    machine="EM_AARCH64",
    needed=ANDROID_LIBRARY.needed,
    page_size=0x4000,
    exports=frozenset(),
    soname=None,
)

LINUX_LIBRARIES = {
    machine: Rules(
        machine=machine,
        needed=frozenset({"libc.so.6", "libm.so.6", loader}),
        page_size=0x1000,
        exports=EXPORTS,
        soname="libpqv_ops.so",
    )
    for machine, loader in {
        "EM_X86_64": "ld-linux-x86-64.so.2",
        "EM_AARCH64": "ld-linux-aarch64.so.1",
    }.items()
}
"""Rules of the op library on Linux, by machine."""


def breaches(path: str | os.PathLike[str], rules: Rules) -> list[str]:
    """The rules that a file breaks, as phrases: what was found and what was expected.

    Of a file for another machine that is the only phrase.

    Raises:
        PqvError: the file cannot be read or is no ELF file with a dynamic section.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PqvError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        elf = ELFFile(io.BytesIO(data))
        dynamic = next((s for s in elf.iter_segments() if isinstance(s, DynamicSegment)), None)
        if dynamic is None:
            raise PqvError(f"{path}: not a dynamically linked file")
        if elf["e_machine"] != rules.machine:
            return [f"is for {elf['e_machine']}, expected {rules.machine}"]
        found = [*_header(elf), *_segments(elf, rules), *_dynamic(dynamic, rules)]
        return [*found, *_exports(elf, rules)]
    except _BROKEN as error:
        raise PqvError(f"{path}: not an ELF file, or a broken one") from error


def check(path: str | os.PathLike[str], rules: Rules) -> None:
    """Raise unless a file keeps all rules.

    Raises:
        PqvError: names every rule that is broken.
    """
    if found := breaches(path, rules):
        raise PqvError(f"{path}: {'; '.join(found)}")


def _header(elf: ELFFile) -> Iterator[str]:
    if elf["e_type"] != "ET_DYN":
        yield f"has the type {elf['e_type']}, expected ET_DYN (position-independent)"
    if elf.num_sections() == 0:
        yield "has no section headers, which Android's linker asks for"


def _segments(elf: ELFFile, rules: Rules) -> Iterator[str]:
    page = rules.page_size
    kinds = set()
    for segment in elf.iter_segments():
        kind, flags = segment["p_type"], segment["p_flags"]
        kinds.add(kind)
        if kind == "PT_LOAD":
            where = f"the segment at {segment['p_vaddr']:#x}"
            if segment["p_align"] < page:
                yield f"{where} is aligned to {segment['p_align']:#x}, expected {page:#x}"
            if (segment["p_vaddr"] - segment["p_offset"]) % page:
                yield f"{where} does not lie in the file as it does in memory"
            if flags & _WRITE and flags & _EXECUTE:
                yield f"{where} is writable and executable"
        if kind == "PT_GNU_STACK" and flags & _EXECUTE:
            yield "asks for an executable stack"
        if kind == "PT_GNU_RELRO" and (segment["p_vaddr"] + segment["p_memsz"]) % page:
            yield f"its RELRO part does not end with a page of {page:#x} bytes"
    if "PT_GNU_RELRO" not in kinds:
        yield "has no RELRO part"
    if "PT_GNU_STACK" not in kinds:
        yield "does not say that its stack is not executable"
    if "PT_TLS" in kinds:
        yield "has thread-local storage, which Android has from API level 29 on"


def _dynamic(dynamic: DynamicSegment, rules: Rules) -> Iterator[str]:
    tags: list[tuple[str, Any]] = [(tag.entry.d_tag, tag) for tag in dynamic.iter_tags()]
    names = {name for name, _ in tags}
    needed = {tag.needed for name, tag in tags if name == "DT_NEEDED"}
    if extra := sorted(needed - rules.needed):
        yield f"needs {', '.join(extra)}, expected only {', '.join(sorted(rules.needed))}"
    soname = next((tag.soname for name, tag in tags if name == "DT_SONAME"), None)
    if soname != rules.soname:
        yield f"calls itself {soname}, expected {rules.soname}"
    flags = {name: tag.entry.d_val for name, tag in tags if name in ("DT_FLAGS", "DT_FLAGS_1")}
    if not (
        "DT_BIND_NOW" in names
        or flags.get("DT_FLAGS", 0) & _NOW_FLAG
        or flags.get("DT_FLAGS_1", 0) & _NOW_FLAG_1
    ):
        yield "is bound lazily, expected BIND_NOW"
    if "DT_TEXTREL" in names:
        yield "has text relocations"
    if "DT_GNU_HASH" not in names:
        yield "has no GNU hash table"
    if names & {"DT_RELR", "DT_ANDROID_RELR"}:
        yield "has RELR relocations, which Android has from API level 30 on"
    if names & {"DT_RPATH", "DT_RUNPATH"}:
        yield "has a search path of its own (RPATH)"


def _exports(elf: ELFFile, rules: Rules) -> Iterator[str]:
    table = elf.get_section_by_name(".dynsym")
    symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
    exports = {
        symbol.name
        for symbol in symbols
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
    }
    if rules.soname is not None and exports != rules.exports:
        yield f"exports {sorted(exports)}, expected {sorted(rules.exports)}"
