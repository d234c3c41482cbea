"""Compile an Avro schema to a reader in Python: one function without a loop over fields, and without callbacks.

It reads what most records are made of: records in records, primitive types, enums, fixed types, unions
and their logical types. A schema with an array or a map has none. What it cannot read, it leaves to the
general reader: so it never has to say what is wrong with a value.

The program holds numbers and names of its own alone. What comes from the schema (names of fields,
symbols) are constants beside it, never text of the program.
"""

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from inbox.reading.formats.avro.schemas import NANOSECONDS, PREFIX
from inbox.reading.values import EXACT, Date, TimeOfDay, Timestamp

_MOST_NODES, _DEEPEST, _MOST_BRANCHES = 400, 12, 60
_LONGEST_DECIMAL = 54
_DAY = 86_400_000_000_000

_NUMBER = """\
n = d[p]; p += 1
if n > 127:
    b = d[p]; p += 1
    n += (b << 7) - 128
    if b > 127:
        b = d[p]; p += 1
        n += (b << 14) - 16384
        if b > 127:
            b = d[p]; p += 1
            n += (b << 21) - 2097152
            if b > 127:
                n -= 268435456; s = 28
                while True:
                    b = d[p]; p += 1
                    n += (b & 127) << s
                    if b < 128: break
                    s += 7
                    if s > 63: raise E
                if n >> 64: raise E
{v} = (n >> 1) ^ -(n & 1)
"""
"""The first four bytes are written out: to subtract the bit that says "more follows" is faster than to mask it."""

_LENGTH = """\
b = d[p]; p += 1
if b < 128:
    if b & 1: raise E
    n = b >> 1
else:
    n = b & 127; s = 7
    while True:
        b = d[p]; p += 1
        n |= (b & 127) << s
        if b < 128: break
        s += 7
        if s > 28: raise E
    if n & 1: raise E
    n >>= 1
"""
_BYTES = _LENGTH + "{v} = d[p:p + n]; p += n\n"
_PLAIN: Mapping[str, str] = {
    "null": "{v} = None\n",
    "boolean": "b = d[p]; p += 1\nif b > 1: raise E\n{v} = b == 1\n",
    "int": _NUMBER,
    "long": _NUMBER,
    "float": "{v} = unpack_float(d, p)[0]; p += 4\n",
    "double": "{v} = unpack_double(d, p)[0]; p += 8\n",
    "bytes": _BYTES,
    "string": _LENGTH + "{v} = d[p:p + n].decode(); p += n\n",
}
_GIVEN: Mapping[str, Any] = {
    "E": ValueError("left to the general reader"),
    "unpack_float": struct.Struct("<f").unpack_from,
    "unpack_double": struct.Struct("<d").unpack_from,
    "whole": int.from_bytes,
    "Decimal": Decimal,
    "exact": EXACT,
    "UUID": UUID,
    "Date": Date,
    "TimeOfDay": TimeOfDay,
    "Timestamp": Timestamp,
    "len": len,
    "Exception": Exception,
}


def program_of(schema: Any, general: Callable[[bytes], Any]) -> Callable[[bytes], Any] | None:
    """Return a reader of values of a prepared schema that is not recursive; None for a schema that it cannot read.

    What it cannot read, whatever the error, it gives to the general reader, which reads or refuses it.
    """
    if (found := program_text(schema)) is None:
        return None
    text, constants = found
    space: dict[str, Any] = {"__builtins__": {}, **_GIVEN, **constants, "general": general}
    exec(compile(text, "<a schema>", "exec"), space)  # noqa: S102 - the text holds nothing of the schema's
    read: Callable[[bytes], Any] = space["read"]
    return read


def program_text(schema: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the text of the reader, and by name the constants that it uses; None for a schema that it cannot read.

    All that the schema's author chose is among the constants.
    """
    program = _ProgramText()
    try:
        result = program.value(schema, 0)
    except _LeftOutError:
        return None
    inner = ["p = 0", *program.lines, "if p != len(d): raise E", f"return {result}"]
    lines = ["def read(d):", "    try:", *(f"        {line}" for line in inner), "    except Exception:"]
    return "\n".join([*lines, "        return general(d)"]), program.constants


class _LeftOutError(Exception):
    """A type that only the general reader reads."""


class _ProgramText:
    """The lines of a reader, and its constants."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self._named: dict[str, Any] = {}
        self._values = 0

    def value(self, schema: Any, depth: int) -> str:
        """Add the lines that read a value; return the name of the variable that has it."""
        self._values += 1
        if self._values > _MOST_NODES or depth > _DEEPEST:
            raise _LeftOutError
        schema = self._named.get(schema, schema) if isinstance(schema, str) else schema
        name = f"v{self._values}"
        if isinstance(schema, list):
            self._union(schema, name, depth)
        elif isinstance(schema, str):
            self._add(depth, _PLAIN[schema], name)
        else:
            if "name" in schema:
                self._named[schema["name"]] = schema
            self._complex(schema, name, depth)
        return name

    def _complex(self, schema: Mapping[str, Any], name: str, depth: int) -> None:
        kind = schema["type"]
        if kind == "record":
            fields = [(self._constant(each["name"]), self.value(each["type"], depth)) for each in schema["fields"]]
            self._add(depth, f"{name} = {{{', '.join(f'{key}: {value}' for key, value in fields)}}}\n", name)
        elif kind == "enum":
            symbols = self._constant(tuple(schema["symbols"]))
            self._add(depth, f"b = d[p]; p += 1\nif b > 127 or b & 1: raise E\n{{v}} = {symbols}[b >> 1]\n", name)
        elif kind in ("array", "map"):
            raise _LeftOutError
        else:
            size = schema.get("size")
            plain = _PLAIN[kind] if size is None else f"{{v}} = d[p:p + {int(size)}]; p += {int(size)}\n"
            self._add(depth, plain, name)
            self._add(depth, self._logical(schema, size), name)

    def _union(self, branches: list[Any], name: str, depth: int) -> None:
        if len(branches) > _MOST_BRANCHES:
            raise _LeftOutError
        self._add(depth, "b = d[p]; p += 1\n", name)
        for index, branch in enumerate(branches):
            self._add(depth, f"{'elif' if index else 'if'} b == {2 * index}:\n", name)
            value = self.value(branch, depth + 1)
            self._add(depth + 1, f"{{v}} = {value}\n", name)
        self._add(depth, "else: raise E\n" if branches else "raise E\n", name)

    def _logical(self, schema: Mapping[str, Any], size: int | None) -> str:
        logical = schema.get("logicalType", "").removeprefix(PREFIX)
        family, _, unit = logical.rpartition("-")
        if logical == "":
            return ""
        if logical == "decimal":
            bound = f"if len({{v}}) > {_LONGEST_DECIMAL}: raise E\n"
            return bound + f"{{v}} = Decimal(whole({{v}}, 'big', signed=True)).scaleb(-{int(schema['scale'])}, exact)\n"
        if logical == "uuid":
            return "{v} = UUID({v})\n" if size is None else "{v} = UUID(bytes={v})\n"
        if logical == "date":
            return "{v} = Date({v})\n"
        scale = NANOSECONDS.get(unit, 0)
        if family == "time":
            return f"if not 0 <= {{v}} < {_DAY // scale}: raise E\n{{v}} = TimeOfDay({{v}} * {scale})\n"
        if family in ("timestamp", "local-timestamp"):
            return f"{{v}} = Timestamp({{v}} * {scale}, {family == 'timestamp'})\n"
        raise _LeftOutError

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def _add(self, depth: int, text: str, name: str) -> None:
        margin = "    " * depth
        self.lines += [margin + line for line in text.replace("{v}", name).splitlines()]
