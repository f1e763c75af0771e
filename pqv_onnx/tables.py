"""Tables of TOML or JSON to dataclasses, whose annotations say what the tables may hold."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pqv_onnx.errors import PqvError
from pqv_onnx.text import printable

T = TypeVar("T")

_PLAIN = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class TableReader:
    """Reads tables, and those within them, into dataclasses.

    Attributes:
        what: what errors begin with, ``model config: ``.
        optional: keys that may be missing; by default those of all fields that have a default.
        parsers: what makes the values of a type, for types that are not read by their fields.
    """

    what: str = ""
    optional: Collection[str] | None = None
    parsers: Mapping[type, Callable[[Any], Any]] = field(default_factory=dict)

    def read(self, cls: type[T], table: object, name: str = "") -> T:
        """Make a ``cls`` of a table.

        Args:
            cls: a dataclass. Its fields are dataclasses, strings, numbers, truth values, literal
                strings, tuples or mappings of one type, optional, or of a type of ``parsers``.
            table: a value for each field.
            name: the table's in errors, as ``train.optimizer``; empty for the outermost.

        Raises:
            PqvError: a key is unknown, missing or has a wrong value; the key is named.
        """
        types = get_type_hints(cls)
        if not isinstance(table, Mapping):
            found = f"{name} is" if name else "found"
            raise self._error(f"{found} {table!r}, expected a table of {', '.join(types)}")
        prefix = f"{name}." if name else ""
        for key in table:
            if key not in types:
                raise self._error(f"unknown key {prefix}{key}, expected one of {', '.join(types)}")
        for key in self._required(cls):
            if key not in table:
                raise self._error(f"found no key {prefix}{key}")
        return cls(**{key: self._value(types[key], x, prefix + key) for key, x in table.items()})

    def _required(self, cls: Any) -> list[str]:
        if self.optional is not None:
            return [entry.name for entry in fields(cls) if entry.name not in self.optional]
        return [e.name for e in fields(cls) if e.default is e.default_factory is MISSING]

    def _value(self, kind: Any, value: Any, name: str) -> Any:
        origin, inner = get_origin(kind), get_args(kind)
        if kind in self.parsers:
            return self.parsers[kind](value)
        if is_dataclass(kind):
            return self.read(kind, value, name)  # type: ignore[arg-type]
        if NoneType in inner:
            return None if value is None else self._value(inner[0], value, name)
        if origin is tuple:
            return self._tuple(inner, value, name)
        if origin is Literal:
            if value not in inner:
                raise self._error(f"{name} is {value!r}, expected {' or '.join(inner)}")
            return value
        if origin in (dict, Mapping):
            if not isinstance(value, Mapping):
                raise self._error(f"{name} is {value!r}, expected a table")
            return {key: self._value(inner[1], x, f"{name}.{key}") for key, x in value.items()}
        if type(value) is not kind and (kind, type(value)) != (float, int):
            raise self._error(f"{name} is {value!r}, expected {_PLAIN[kind]}")
        # NaN passes, as an accuracy that is not known; a check of the range refuses it.
        if kind is float and abs(value) > sys.float_info.max:
            raise self._error(f"{name} is {value}, expected a finite number")
        return kind(value)

    def _tuple(self, kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
        count = None if kinds[-1] is Ellipsis else len(kinds)
        if not isinstance(value, list | tuple) or count not in (None, len(value)):
            values = f"{count} values" if count else "values"
            raise self._error(
                f"{name} is {value!r}, expected a list of {values}, each {_PLAIN[kinds[0]]}"
            )
        return tuple(self._value(kinds[0], x, f"{name}[{i}]") for i, x in enumerate(value))

    def _error(self, sentence: str) -> PqvError:
        return PqvError(printable(self.what + sentence))
