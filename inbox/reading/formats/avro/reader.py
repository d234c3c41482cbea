"""Decode Avro with the schema that wrote it.

The C reader of fastavro does not bound its recursion: a value of a few kilobytes whose type contains
itself would end the process. Recursive schemas are therefore read by fastavro's reader in Python, in
which too deep a value is an ordinary error.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from io import BytesIO
from typing import Any
from uuid import UUID

from inbox.errors import EventError, StartupError
from inbox.events import Header
from inbox.reading.formats.avro.program import program_of
from inbox.reading.formats.avro.schemas import MOST_DIGITS, PREFIX, PreparedSchema
from inbox.reading.formats.decoded import Decoded
from inbox.reading.formats.framed_rows import FramedRows
from inbox.reading.schemas import CompiledSchemas, SchemaError, SchemaKind, Schemas, WrittenSchema
from inbox.reading.values import Date, Interval, TimeOfDay, Timestamp

Read = Callable[[bytes], Any]

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_DURATION = struct.Struct("<III")
_MOST_BITS = int(MOST_DIGITS / 0.30103)


class AvroFormat(FramedRows):
    """The format of a route whose records name their schema in the registry."""

    def __init__(self, schemas: Schemas, *, header: str) -> None:
        require_fastavro()
        compiled = CompiledSchemas(schemas, SchemaKind.AVRO, compile_avro)
        super().__init__(header, lambda frame: compiled.get(frame.schema_id))


class AvroFile:
    """The format of a route whose values are plain Avro, all of one schema."""

    def __init__(self, schema: WrittenSchema) -> None:
        require_fastavro()
        self._read = compile_avro(schema)

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes, as `RecordFormat` says."""
        return Decoded(row=self._read(data))


def require_fastavro() -> None:
    """Raise StartupError if the extra is not installed."""
    try:
        import fastavro  # noqa: F401 - an extra
    except ImportError:
        raise StartupError('format "avro" needs fastavro; pip install "kafka-inbox[avro]"') from None


def compile_avro(written: WrittenSchema) -> Read:
    """Return a reader of values of this schema. Raises SchemaError if the schema is not valid."""
    import fastavro._read as in_c  # an extra, and only routes in Avro need it
    import fastavro._read_py as in_python
    from fastavro import parse_schema
    from fastavro.schema import SchemaParseException, UnknownType

    prepared = PreparedSchema(written)
    try:
        # Within a record, because fastavro parses every other schema again for each value.
        whole = {"type": "record", "name": "whole", "fields": [{"name": "value", "type": prepared.schema}]}
        schema = parse_schema(whole)
    except (SchemaParseException, UnknownType, ValueError, TypeError, KeyError, RecursionError) as error:
        raise SchemaError(f"{written.name} cannot be used: {type(error).__name__}") from None
    module: Any = in_python if prepared.recursive else in_c
    module.LOGICAL_READERS.update(_LOGICAL_READERS)
    general = _reader(module.schemaless_reader, _indexed_from_start(schema), written.name)
    program = None if prepared.recursive else program_of(prepared.schema, general)
    return general if program is None else program


class _FromStart(list[Any]):
    """The branches of a union or the symbols of an enum, which a negative index does not count from the end."""

    def __getitem__(self, index: Any) -> Any:
        if index < 0:
            raise IndexError
        return super().__getitem__(index)

    def __len__(self) -> int:
        """Return 0: the reader in C adds the length to a negative index before it asks for the item."""
        return 0


def _indexed_from_start(schema: Any) -> Any:
    """Return the parsed schema with such lists, also within the types that fastavro keeps by their names."""
    if isinstance(schema, list):
        return _FromStart(map(_indexed_from_start, schema))
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name == "fields":
                for field in part:
                    field["type"] = _indexed_from_start(field["type"])
            elif isinstance(part, dict | list):
                schema[name] = _indexed_from_start(part)
    return schema


def _reader(read_one: Callable[..., Any], schema: Any, name: str) -> Read:
    def read(data: bytes) -> Any:
        buffer = BytesIO(data)
        try:
            row = read_one(buffer, schema, None)["value"]
        except EventError as error:
            raise SchemaError(f"the value does not fit {name}: {error}; check its producer") from None
        except Exception as error:  # noqa: BLE001 - fastavro documents no errors: these bytes caused it
            raise SchemaError(f"the value does not fit {name}: {_reason(error)}; check its producer") from None
        if buffer.tell() != len(data):
            left = len(data) - buffer.tell()
            raise SchemaError(f"the value does not fit {name}: {left} bytes follow it; check its producer")
        return row

    return read


def _reason(error: Exception) -> str:
    """Return what is wrong, without any part of the value."""
    match error:
        case EOFError() | struct.error():
            return "it is shorter than its schema"
        case UnicodeDecodeError():
            return "a text in it is not UTF-8"
        case RecursionError():
            return "it nests too deep"
        case IndexError():
            return "an index in it is beyond the union or the enum"
        case _:
            return type(error).__name__


def _decimal(data: bytes, writer: Mapping[str, Any], _: Any = None) -> Decimal:
    unscaled = int.from_bytes(data, "big", signed=True)
    if unscaled.bit_length() > _MOST_BITS:
        raise EventError(f"a decimal in it has more than {MOST_DIGITS} digits, which PostgreSQL cannot keep")
    return Decimal(unscaled).scaleb(-writer["scale"], _EXACT)


def _uuid(value: str | bytes, _: Any = None, __: Any = None) -> UUID:
    try:
        return UUID(bytes=value) if isinstance(value, bytes) else UUID(value)
    except ValueError:
        raise EventError("a text in it is not a UUID") from None


def _duration(value: bytes, _: Any = None, __: Any = None) -> Interval:
    months, days, milliseconds = _DURATION.unpack(value)
    return Interval(months, days, milliseconds * 1_000_000)


def _time_of_day(unit: int) -> Callable[..., TimeOfDay]:
    most = 86_400_000_000_000 // unit

    def read(value: int, _: Any = None, __: Any = None) -> TimeOfDay:
        if not 0 <= value < most:
            raise EventError("a time in it is not within a day")
        return TimeOfDay(value * unit)

    return read


def _timestamp(unit: int, *, zoned: bool) -> Callable[..., Timestamp]:
    def read(value: int, _: Any = None, __: Any = None) -> Timestamp:
        return Timestamp(value * unit, zoned)

    return read


def _date(value: int, _: Any = None, __: Any = None) -> Date:
    return Date(value)


_LOGICAL_READERS: Mapping[str, Callable[..., Any]] = {
    f"bytes-{PREFIX}decimal": _decimal,
    f"fixed-{PREFIX}decimal": _decimal,
    f"string-{PREFIX}uuid": _uuid,
    f"fixed-{PREFIX}uuid": _uuid,
    f"fixed-{PREFIX}duration": _duration,
    f"int-{PREFIX}date": _date,
    f"int-{PREFIX}time-millis": _time_of_day(1_000_000),
    f"long-{PREFIX}time-micros": _time_of_day(1000),
    f"long-{PREFIX}timestamp-millis": _timestamp(1_000_000, zoned=True),
    f"long-{PREFIX}timestamp-micros": _timestamp(1000, zoned=True),
    f"long-{PREFIX}timestamp-nanos": _timestamp(1, zoned=True),
    f"long-{PREFIX}local-timestamp-millis": _timestamp(1_000_000, zoned=False),
    f"long-{PREFIX}local-timestamp-micros": _timestamp(1000, zoned=False),
    f"long-{PREFIX}local-timestamp-nanos": _timestamp(1, zoned=False),
}
"""The readers of logical types, by the keys under which fastavro looks them up."""
