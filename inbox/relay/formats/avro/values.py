"""Write the values of Avro's types that have no logical type."""

import struct
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from inbox.relay.formats.misfit import PayloadMisfitError

Put = Callable[[Any, bytearray], None]
"""Append a value's bytes; raise PayloadMisfitError if it does not fit."""

_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_UNBOUNDED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def long_bytes(number: int) -> bytes:
    """Return a whole number in zigzag encoding."""
    number = (number << 1) ^ (number >> 63)
    found = bytearray()
    while number > 0x7F:
        found.append((number & 0x7F) | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _whole(bits: int) -> Put:
    most = 1 << (bits - 1)

    def put(value: Any, out: bytearray) -> None:
        if type(value) is not int or not -most <= value < most:
            raise PayloadMisfitError(f"a whole number of {bits} bits is expected")
        number = (value << 1) ^ (value >> 63)
        while number > 0x7F:
            out.append((number & 0x7F) | 0x80)
            number >>= 7
        out.append(number)

    return put


put_int, put_long = _whole(32), _whole(64)


def _put_null(value: Any, out: bytearray) -> None:
    if value is not None:
        raise PayloadMisfitError("null is expected")


def _put_boolean(value: Any, out: bytearray) -> None:
    if value is True:
        out.append(1)
    elif value is False:
        out.append(0)
    else:
        raise PayloadMisfitError("true or false is expected")


def _real(form: struct.Struct) -> Put:
    def put(value: Any, out: bytearray) -> None:
        kind = type(value)
        if kind is str and value in _UNBOUNDED:
            value = _UNBOUNDED[value]
        elif kind is not int and kind is not float and kind is not Decimal:
            raise PayloadMisfitError("a number is expected")
        try:
            out += form.pack(value)
        except (OverflowError, struct.error):
            raise PayloadMisfitError("it is beyond the numbers of its type") from None

    return put


def put_string(value: Any, out: bytearray) -> None:
    if type(value) is not str:
        raise PayloadMisfitError("a text is expected")
    data = value.encode()
    put_long(len(data), out)
    out += data


def base64_bytes(value: Any) -> bytes:
    try:
        return a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError):
        raise PayloadMisfitError("bytes in base64 are expected") from None


def latin_bytes(value: Any) -> bytes:
    try:
        return bytes(value.encode("latin-1"))
    except (AttributeError, UnicodeEncodeError):
        raise PayloadMisfitError("the default is not one of bytes") from None


def sized(read: Callable[[Any], bytes], size: int | None) -> Put:
    """Return a writer of bytes, of a fixed size or with their length."""

    def put(value: Any, out: bytearray) -> None:
        data = read(value)
        if size is None:
            put_long(len(data), out)
        elif len(data) != size:
            raise PayloadMisfitError(f"{size} bytes are expected, not {len(data)}")
        out += data

    return put


def enum_of(symbols: Sequence[str]) -> Put:
    indexes = {symbol: long_bytes(index) for index, symbol in enumerate(symbols)}

    def put(value: Any, out: bytearray) -> None:
        index = indexes.get(value) if type(value) is str else None
        if index is None:
            raise PayloadMisfitError("a symbol of the enum is expected")
        out += index

    return put


def array_of(put_item: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is not list:
            raise PayloadMisfitError("an array is expected")
        if value:
            put_long(len(value), out)
            for each in value:
                put_item(each, out)
        out.append(0)

    return put


def map_of(put_item: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is not dict:
            raise PayloadMisfitError("an object is expected")
        if value:
            put_long(len(value), out)
            for name, each in value.items():
                put_string(name, out)
                put_item(each, out)
        out.append(0)

    return put


PLAIN: Mapping[str, Put] = {
    "null": _put_null,
    "boolean": _put_boolean,
    "int": put_int,
    "long": put_long,
    "float": _real(_FLOAT),
    "double": _real(_DOUBLE),
    "string": put_string,
    "bytes": sized(base64_bytes, None),
}
