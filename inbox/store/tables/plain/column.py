"""A column of plain JSON rows: the members that read the same here as in PostgreSQL, and the array that is sent.

The SQL of the column casts the array's elements: `inbox.store.tables.decoded.expressions`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

import msgspec

from inbox.documents import pointer_steps
from inbox.reading.values import Date, Timestamp
from inbox.store.options import ColumnSource, Reading
from inbox.store.postgres import arrays
from inbox.store.tables.columns import Column, TypeName
from inbox.store.tables.decoded.expressions import parameter_of
from inbox.store.tables.decoded.packing import days, moments, packings, texts
from inbox.store.tables.decoded.readings import application
from inbox.store.tables.decoded.wording import RefusedValueError

_NULL = msgspec.Raw(b"null")
_QUOTE = ord('"')
_NUMBERS = frozenset(b"-0123456789")


class NotPlainError(Exception):
    """The signal that PostgreSQL might read a value differently."""


Pack = Callable[[Sequence[Any]], arrays.PackedArray]


def _numerals(values: Sequence[msgspec.Raw]) -> arrays.PackedArray:
    """Pack numbers, and texts of numbers, with each of their digits."""
    return _packed([*map(bytes, values)])


def _floats(values: Sequence[msgspec.Raw]) -> arrays.PackedArray:
    """Pack as `_numerals`; PostgreSQL's JSON has no negative zero."""
    tokens = [*map(bytes, values)]
    if any(token.startswith(b"-0") and float(token) == 0 for token in tokens):
        raise NotPlainError
    return _packed(tokens)


def _packed(tokens: Sequence[bytes]) -> arrays.PackedArray:
    if b"\\" in b" ".join(tokens):
        raise NotPlainError
    kinds = {token[0] for token in tokens}
    if kinds <= _NUMBERS:
        return arrays.texts(tokens)
    if kinds == {_QUOTE}:
        return arrays.texts([token[1:-1] for token in tokens])
    return arrays.texts([_numeral(token) for token in tokens])


def _numeral(token: bytes) -> bytes | None:
    if token[0] in _NUMBERS:
        return token
    if token == b"null":
        return None
    if token[0] != _QUOTE:
        raise NotPlainError
    return token[1:-1]


def _documents(values: Sequence[msgspec.Raw]) -> arrays.PackedArray:
    tokens = map(bytes, values)
    return arrays.texts([None if token == b"null" else token for token in tokens])


def _in_unit(reading: Reading, kind: TypeName) -> Pack:
    """Return what packs whole numbers of a unit as dates or moments."""
    apply = application(reading, None, kind)
    pack_read = packings(kind)[Date if kind.name == "date" else Timestamp]

    return lambda values: pack_read([None if value is None else apply(value) for value in values])


_OF_RAW: Mapping[str, Pack] = {
    "numeric": _numerals,
    **dict.fromkeys(("float4", "float8"), _floats),
    "jsonb": _documents,
}
_OF_KIND: Mapping[str, tuple[Any, Pack]] = {
    **dict.fromkeys(("int2", "int4", "int8"), (int | None, arrays.int8s)),
    "bool": (bool | None, arrays.bools),
    **dict.fromkeys(("text", "varchar", "bpchar", "uuid"), (str | None, texts)),
    **dict.fromkeys(("timestamptz", "timestamp"), (str | None, moments)),
    "date": (str | None, days),
    **{name: (msgspec.Raw, pack) for name, pack in _OF_RAW.items()},
}
"""The type of the member by the type of the column, and what packs a column of them."""

_UNITS = (Reading.EPOCH_S, Reading.EPOCH_MS, Reading.EPOCH_US, Reading.EPOCH_NS)
_IN_UNITS = {("date", Reading.EPOCH_DAYS), *((name, unit) for name in ("timestamptz", "timestamp") for unit in _UNITS)}
"""The units that make a whole number a value, by the type of the column."""


class PlainColumn:
    """A column that is filled from a member of a JSON row.

    Attributes:
        path: the steps of its pointer.
        name: that of its parameter in the statement.
        kind, absent: the type of the member, as msgspec decodes it, and the value of one that is absent.
    """

    def __init__(self, column: Column, source: ColumnSource) -> None:
        self.path = tuple(pointer_steps(source.pointer or ""))
        self.name: LiteralString = parameter_of(column)
        self.kind, self._pack = _OF_KIND[column.base.name]
        if source.reading is not None:
            self.kind, self._pack = int | None, _in_unit(source.reading, column.base)
        self.absent = _NULL if self.kind is msgspec.Raw else None

    def pack(self, values: Sequence[Any]) -> arrays.PackedArray:
        """Return the array of a batch's members. Raises NotPlainError."""
        try:
            return self._pack(values)
        except (RefusedValueError, OverflowError):
            raise NotPlainError from None


_NO_FIELD = re.compile(r'["\\\x00-\x1f]')
"""Characters that msgspec refuses in the name of a field."""


def may_be_plain(column: Column, source: ColumnSource) -> bool:
    """Return whether there are members that the column takes as they are."""
    kind, pointer = column.base, source.pointer or ""
    if kind.schema != "pg_catalog" or kind.name not in _OF_KIND or source.leaves:
        return False
    if source.reading is not None and (kind.name, source.reading) not in _IN_UNITS:
        return False
    return pointer != "" and _NO_FIELD.search(pointer) is None
