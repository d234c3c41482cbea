"""Write JSON as Avro with the schema of its subject. Nothing is lost: a payload that does not fit is an error.

A type takes the JSON that `inbox.reading` makes of it: base64 for bytes, ISO 8601 for times, a text
or a number for a decimal. A number may also stand for a time, in the unit of its schema.
"""

import json
import struct
from binascii import a2b_base64
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from inbox.documents import DocumentError, parse
from inbox.reading.formats.avro.schemas import PREFIX, PreparedSchema
from inbox.reading.formats.connect import texts as connect_texts
from inbox.reading.schemas import WrittenSchema
from inbox.reading.values import INFINITE, Date, TimeOfDay, Timestamp
from inbox.relay.formats.misfit import PayloadMisfitError

Put = Callable[[Any, bytearray], None]
"""Append a value's bytes; raise PayloadMisfitError if it does not fit."""

_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_LONGEST_DEFAULTS = 1 << 24
_UNBOUNDED = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_LAST_IN_UNIONS = {"float": 1, "bytes": 1}
"""The types that take values with a loss, or texts that mean something else: other types of a union come first."""


def compile_avro(written: WrittenSchema) -> Callable[[bytes], bytes]:
    """Return a writer of JSON documents in this schema; it raises PayloadMisfitError.

    Raises:
        SchemaError: the schema is not valid.
    """
    schema = PreparedSchema(written, keeps_defaults=True).schema
    put, read = _Compiler().put(schema), _parsed_exactly if _has_decimals(schema) else parse

    def write(document: bytes) -> bytes:
        out = bytearray()
        try:
            put(read(document), out)
        except DocumentError as error:
            raise PayloadMisfitError(f"it is not valid JSON: {error}") from None
        except RecursionError:
            raise PayloadMisfitError("it nests too deep") from None
        return bytes(out)

    return write


def _parsed_exactly(document: bytes) -> Any:
    """Read a document with every digit of its numbers."""
    parse(document)  # says what is wrong with it
    try:
        return json.loads(document, parse_float=Decimal)
    except ValueError:
        raise DocumentError("a number in it has too many digits") from None


def _has_decimals(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_decimals, schema))
    if not isinstance(schema, dict):
        return False
    within = (schema.get("items"), schema.get("values"), *(each["type"] for each in schema.get("fields", ())))
    return schema.get("logicalType") == f"{PREFIX}decimal" or any(map(_has_decimals, within))


class _Compiler:
    """The writers of a schema's types; `_named` has those that a type may contain before they are complete."""

    def __init__(self) -> None:
        self._named: MutableMapping[str, Put] = {}

    def put(self, schema: Any) -> Put:
        if isinstance(schema, list):
            return self._union(schema)
        if isinstance(schema, str):
            return _PLAIN.get(schema) or self._later(schema)
        kind, logical = schema["type"], schema.get("logicalType", "").removeprefix(PREFIX)
        if kind == "record":
            return self._record(schema)
        if kind == "array":
            return _array(self.put(schema["items"]))
        if kind == "map":
            return _map(self.put(schema["values"]))
        made = _enum(schema["symbols"]) if kind == "enum" else _logical(schema, kind, logical)
        if "name" in schema:
            self._named[schema["name"]] = made
        return made

    def _later(self, name: str) -> Put:
        named = self._named
        return lambda value, out: named[name](value, out)

    def _record(self, schema: Mapping[str, Any]) -> Put:
        fields = [(each["name"], self.put(each["type"]), self._absent(each)) for each in schema["fields"]]
        names = frozenset(name for name, _, _ in fields)

        def put(value: Any, out: bytearray) -> None:
            if type(value) is not dict:
                raise PayloadMisfitError("an object is expected")
            known = 0
            for name, put_field, put_default in fields:
                if name in value:
                    known += 1
                    try:
                        put_field(value[name], out)
                    except PayloadMisfitError as error:
                        raise error.within(name) from None
                elif put_default is None:
                    raise PayloadMisfitError("it is absent, and the schema has no default for it").within(name)
                else:
                    put_default(out)
            if known < len(value):
                raise PayloadMisfitError(f"{len(value.keys() - names)} members of it are not in the schema")

        self._named[schema["name"]] = put
        return put

    def _absent(self, field: Mapping[str, Any]) -> Callable[[bytearray], None] | None:
        """Return how a field is written that the document does not have; None if it must have it."""
        of = field["type"]
        if "default" not in field:
            is_nullable = of == "null" or (isinstance(of, list) and "null" in of)
            return _null_of(of) if is_nullable else None
        named, made = self._named, list[bytes]()

        def put(out: bytearray) -> None:
            if not made:
                data = bytearray()
                _DefaultCompiler(named).put(of)(field["default"], data)
                made.append(bytes(data))
            if len(out) > _LONGEST_DEFAULTS:
                raise PayloadMisfitError("the defaults of its schema are too large")
            out += made[0]

        return put

    def _union(self, branches: Sequence[Any]) -> Put:
        order = sorted(enumerate(branches), key=lambda each: _LAST_IN_UNIONS.get(_kind(each[1]), 0))
        puts = [(_long_bytes(index), self.put(each)) for index, each in order if each != "null"]
        null = _long_bytes(branches.index("null")) if "null" in branches else None

        def put(value: Any, out: bytearray) -> None:
            if value is None:
                if null is None:
                    raise PayloadMisfitError("null is not in the union")
                out += null
                return None
            mark, failure = len(out), None
            for index, put_one in puts:
                out += index
                try:
                    return put_one(value, out)
                except PayloadMisfitError as error:
                    failure = error
                    del out[mark:]
            raise (
                failure
                if failure is not None and len(puts) == 1
                else PayloadMisfitError("it fits no type of the union")
            )

        return put


class _DefaultCompiler(_Compiler):
    """The writers of the defaults of fields, in which bytes are texts of one character for each byte."""

    def __init__(self, named: MutableMapping[str, Put]) -> None:
        super().__init__()
        self._named = ChainMap({}, named)

    def put(self, schema: Any) -> Put:
        kind = _kind(schema)
        if kind in ("bytes", "fixed"):
            return _sized(_latin_bytes, schema["size"] if kind == "fixed" else None)
        return super().put(schema)


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _null_of(schema: Any) -> Callable[[bytearray], None]:
    data = b"" if schema == "null" else _long_bytes(schema.index("null"))
    return lambda out: out.extend(data)


def _long_bytes(number: int) -> bytes:
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


_put_int, _put_long = _whole(32), _whole(64)


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


def _put_string(value: Any, out: bytearray) -> None:
    if type(value) is not str:
        raise PayloadMisfitError("a text is expected")
    data = value.encode()
    _put_long(len(data), out)
    out += data


def _base64_bytes(value: Any) -> bytes:
    try:
        return a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError):
        raise PayloadMisfitError("bytes in base64 are expected") from None


def _latin_bytes(value: Any) -> bytes:
    try:
        return bytes(value.encode("latin-1"))
    except (AttributeError, UnicodeEncodeError):
        raise PayloadMisfitError("the default is not one of bytes") from None


def _sized(read: Callable[[Any], bytes], size: int | None) -> Put:
    """Return a writer of bytes, of a fixed size or with their length."""

    def put(value: Any, out: bytearray) -> None:
        data = read(value)
        if size is None:
            _put_long(len(data), out)
        elif len(data) != size:
            raise PayloadMisfitError(f"{size} bytes are expected, not {len(data)}")
        out += data

    return put


def _enum(symbols: Sequence[str]) -> Put:
    indexes = {symbol: _long_bytes(index) for index, symbol in enumerate(symbols)}

    def put(value: Any, out: bytearray) -> None:
        index = indexes.get(value) if type(value) is str else None
        if index is None:
            raise PayloadMisfitError("a symbol of the enum is expected")
        out += index

    return put


def _array(put_item: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is not list:
            raise PayloadMisfitError("an array is expected")
        if value:
            _put_long(len(value), out)
            for each in value:
                put_item(each, out)
        out.append(0)

    return put


def _map(put_item: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is not dict:
            raise PayloadMisfitError("an object is expected")
        if value:
            _put_long(len(value), out)
            for name, each in value.items():
                _put_string(name, out)
                put_item(each, out)
        out.append(0)

    return put


# Logical types.


def _logical(schema: Mapping[str, Any], kind: str, logical: str) -> Put:
    size = schema.get("size")
    if logical == "decimal":
        return _decimal(schema, size)
    if logical == "uuid":
        return _uuid(size)
    if logical in _NUMBERED:
        return _numbered(_NUMBERED[logical], _put_int if kind == "int" else _put_long)
    if logical == "duration":
        return _refusing("the relay does not write the type duration")
    return _sized(_base64_bytes, size) if kind in ("bytes", "fixed") else _PLAIN[kind]


def _refusing(reason: str) -> Put:
    def put(value: Any, out: bytearray) -> None:
        raise PayloadMisfitError(reason)

    return put


def _decimal(schema: Mapping[str, Any], size: int | None) -> Put:
    scale, precision = schema["scale"], schema["precision"]

    def read(value: Any) -> bytes:
        unscaled = _unscaled(value, scale, precision)
        length = size if size is not None else (8 + (unscaled + (unscaled < 0)).bit_length()) // 8
        try:
            return unscaled.to_bytes(length, "big", signed=True)
        except OverflowError:
            raise PayloadMisfitError(f"it does not fit {length} bytes") from None

    return _sized(read, size)


def _unscaled(value: Any, scale: int, precision: int) -> int:
    """Return the digits of a decimal without its point."""
    if type(value) not in (int, str, Decimal):
        raise PayloadMisfitError("a number, or a text of one, is expected")
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        raise PayloadMisfitError("a number, or a text of one, is expected") from None
    if not number.is_finite():
        raise PayloadMisfitError("a finite number is expected")
    if number and number.adjusted() + scale >= precision:
        raise PayloadMisfitError(f"it has more than {precision - scale} digits before the point")
    shifted = _EXACT.scaleb(number, scale)
    whole = shifted.to_integral_value(ROUND_DOWN, _EXACT)
    if whole != shifted:
        raise PayloadMisfitError(f"it has more than {scale} digits behind the point")
    return int(whole)


def _uuid(size: int | None) -> Put:
    def read(value: Any) -> UUID:
        try:
            return UUID(value)
        except (AttributeError, TypeError, ValueError):
            raise PayloadMisfitError("the text of a UUID is expected") from None

    if size is not None:
        return _sized(lambda value: read(value).bytes, size)
    return lambda value, out: _put_string(str(read(value)), out)


def _numbered(read: Callable[[str], int | None], put_number: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is str:
            value = read(value)
            if value is None:
                raise PayloadMisfitError(
                    "a date or a time in ISO 8601 is expected, with an offset where its type has a zone"
                )
        put_number(value, out)

    return put


def _days(text: str) -> int | None:
    found = connect_texts.local_date(text)
    return found.days if isinstance(found, Date) and abs(found.days) < INFINITE else None


def _of_day(unit: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        found = connect_texts.local_time(text)
        return found.nanoseconds // unit if isinstance(found, TimeOfDay) else None

    return read


def _moment(read_text: Callable[[str], Timestamp | None], unit: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        found = read_text(text.replace(" ", "T", 1))
        return found.nanoseconds // unit if found is not None and abs(found.nanoseconds) < INFINITE else None

    return read


_UNITS = {"millis": 1_000_000, "micros": 1000, "nanos": 1}
_NUMBERED: Mapping[str, Callable[[str], int | None]] = {
    "date": _days,
    **{f"time-{name}": _of_day(unit) for name, unit in _UNITS.items()},
    **{f"timestamp-{name}": _moment(connect_texts.zoned_timestamp, unit) for name, unit in _UNITS.items()},
    **{f"local-timestamp-{name}": _moment(connect_texts.local_timestamp, unit) for name, unit in _UNITS.items()},
}
_PLAIN: Mapping[str, Put] = {
    "null": _put_null,
    "boolean": _put_boolean,
    "int": _put_int,
    "long": _put_long,
    "float": _real(_FLOAT),
    "double": _real(_DOUBLE),
    "string": _put_string,
    "bytes": _sized(_base64_bytes, None),
}
