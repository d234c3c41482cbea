"""Join columns of values into PostgreSQL's binary arrays.

psycopg adapts a list element by element in Python, which costs more than the server's work on it.
One `bytes.join` per column costs almost nothing. Format: PostgreSQL source, `array_recv` in
arrayfuncs.c.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from psycopg import pq
from psycopg.adapt import AdaptersMap, Dumper

_EMPTY = struct.Struct(">iiI")
_DIMENSION = struct.Struct(">iiIii")
_NULL = b"\xff\xff\xff\xff"
_pack_double = struct.Struct(">d").pack
_SHORT = [length.to_bytes(4, "big") for length in range(1024)]
"""The lengths of most texts, as they are sent."""

_BOOL, _BYTEA, _INT8, _INT4, _TEXT, _FLOAT8, _DATE, _TIMESTAMPTZ, _UUID = 16, 17, 20, 23, 25, 701, 1082, 1184, 2950


class PackedArray:
    """A column of one type, ready to be sent."""

    __slots__ = ("packed",)
    oid: int

    def __init__(self, packed: bytes) -> None:
        self.packed = packed


class Uuids(PackedArray):
    oid = 2951


class Int8s(PackedArray):
    oid = 1016


class Int4s(PackedArray):
    oid = 1007


class Texts(PackedArray):
    oid = 1009


class Bools(PackedArray):
    oid = 1000


class Float8s(PackedArray):
    oid = 1022


class Dates(PackedArray):
    oid = 1182


class Timestamptzs(PackedArray):
    oid = 1185


class Byteas(PackedArray):
    oid = 1001


def uuids(values: Sequence[bytes]) -> Uuids:
    """Pack UUIDs of 16 bytes each."""
    return Uuids(_fixed(values, _UUID, b"\x00\x00\x00\x10"))


def hashes(values: Sequence[bytes]) -> Int8s:
    """Pack hashes of 8 bytes each as signed 64-bit integers."""
    return Int8s(_fixed(values, _INT8, b"\x00\x00\x00\x08"))


def int8s(values: Sequence[int | None]) -> Int8s:
    return Int8s(_numbers(values, _INT8, 8))


def int4s(values: Sequence[int | None]) -> Int4s:
    return Int4s(_numbers(values, _INT4, 4))


def texts(values: Sequence[bytes | None]) -> Texts:
    """Pack texts in UTF-8; the server refuses what is not valid UTF-8."""
    return Texts(_varying(values, _TEXT))


def byteas(values: Sequence[bytes | None]) -> Byteas:
    return Byteas(_varying(values, _BYTEA))


def bools(values: Sequence[bool | None]) -> Bools:
    return Bools(_items([None if value is None else b"\x01" if value else b"\x00" for value in values], _BOOL, 1))


def float8s(values: Sequence[float | None]) -> Float8s:
    if None not in values:
        return Float8s(_header(len(values), _FLOAT8) + _of_layout("d", 8, values))
    return Float8s(_items([None if value is None else _pack_double(value) for value in values], _FLOAT8, 8))


def dates(values: Sequence[int | None]) -> Dates:
    """Pack dates, in days since 2000."""
    return Dates(_numbers(values, _DATE, 4))


def timestamptzs(values: Sequence[int | None]) -> Timestamptzs:
    """Pack points in time, in microseconds since 2000."""
    return Timestamptzs(_numbers(values, _TIMESTAMPTZ, 8))


def nullable_uuids(values: Sequence[bytes | None]) -> Uuids:
    """Pack UUIDs of 16 bytes each, some of which may be missing."""
    return Uuids(_items(values, _UUID, 16))


def _header(count: int, oid: int, *, nulls: bool = False) -> bytes:
    return _DIMENSION.pack(1, int(nulls), oid, count, 1) if count else _EMPTY.pack(0, 0, oid)


def _fixed(values: Sequence[bytes], oid: int, length: bytes) -> bytes:
    return _header(len(values), oid) + length.join(chain((b"",), values))


_LETTERS = {4: "i", 8: "q"}


def _numbers(values: Sequence[int | None], oid: int, size: int) -> bytes:
    if None in values:
        length = size.to_bytes(4, "big")
        items = [_NULL if value is None else length + value.to_bytes(size, "big", signed=True) for value in values]
        return _header(len(values), oid, nulls=True) + b"".join(items)
    try:
        return _header(len(values), oid) + _of_layout(_LETTERS[size], size, values)
    except struct.error:
        raise OverflowError(f"a number does not fit into {size} bytes") from None


def _of_layout(letter: str, size: int, values: Sequence[int | float | None]) -> bytes:
    """Return all values, each behind its length, by one call."""
    items: list[int | float | None] = [size] * (2 * len(values))
    items[1::2] = values
    return _layout(letter, len(values)).pack(*items)


@lru_cache(maxsize=16)
def _layout(letter: str, count: int) -> struct.Struct:
    return struct.Struct(">" + f"i{letter}" * count)


def _items(values: Sequence[bytes | None], oid: int, size: int) -> bytes:
    length = size.to_bytes(4, "big")
    if None in values:
        items = [_NULL if value is None else length + value for value in values]
        return _header(len(values), oid, nulls=True) + b"".join(items)
    return _fixed(values, oid, length)  # type: ignore[arg-type]


def _varying(values: Sequence[bytes | None], oid: int) -> bytes:
    if None in values:
        items = [_NULL if value is None else len(value).to_bytes(4, "big") + value for value in values]
        return _header(len(values), oid, nulls=True) + b"".join(items)
    items = [b""] * (2 * len(values))
    items[::2] = _lengths(values)  # type: ignore[arg-type]
    items[1::2] = values  # type: ignore[assignment]
    return _header(len(values), oid) + b"".join(items)


def _lengths(values: Sequence[bytes]) -> list[bytes]:
    try:
        return list(map(_SHORT.__getitem__, map(len, values)))
    except IndexError:
        return [len(value).to_bytes(4, "big") for value in values]


class _PackedDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: PackedArray) -> bytes:
        return obj.packed


_DUMPERS = {
    kind: type(f"{kind.__name__}Dumper", (_PackedDumper,), {"oid": kind.oid})
    for kind in (Uuids, Int8s, Int4s, Texts, Byteas, Bools, Float8s, Dates, Timestamptzs)
}


def register(adapters: AdaptersMap) -> None:
    """Register packed arrays with `adapters`, so that psycopg sends them unchanged."""
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)
