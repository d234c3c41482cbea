"""The kinds of values that a schema allows, by the members of a row."""

from collections.abc import Iterable, Sequence
from typing import Any

from inbox.operations.samples.kinds import Declared, Member, ValueKind
from inbox.reading.formats.avro.schemas import PREFIX
from inbox.reading.formats.field_types import ProtobufPlace
from inbox.reading.formats.fields import Fields
from inbox.reading.schemas import SchemaError, SchemaKind

_AVRO = {
    "boolean": ValueKind.BOOLEAN,
    "int": ValueKind.INTEGER,
    "long": ValueKind.INTEGER,
    "float": ValueKind.REAL,
    "double": ValueKind.REAL,
    "bytes": ValueKind.BYTES,
    "fixed": ValueKind.BYTES,
    "string": ValueKind.TEXT,
    "enum": ValueKind.TEXT,
    "array": ValueKind.ARRAY,
    "map": ValueKind.OBJECT,
    "record": ValueKind.OBJECT,
}
_AVRO_LOGICAL = {
    "date": ValueKind.DATE,
    "time-millis": ValueKind.TIME,
    "time-micros": ValueKind.TIME,
    "uuid": ValueKind.UUID,
    "decimal": ValueKind.DECIMAL,
    "duration": ValueKind.INTERVAL,
    **{f"timestamp-{unit}": ValueKind.ZONED for unit in ("millis", "micros", "nanos")},
    **{f"local-timestamp-{unit}": ValueKind.LOCAL for unit in ("millis", "micros", "nanos")},
}
_JSON = {
    "boolean": ValueKind.BOOLEAN,
    "integer": ValueKind.INTEGER,
    "number": ValueKind.FLOAT,
    "string": ValueKind.TEXT,
    "object": ValueKind.OBJECT,
    "array": ValueKind.ARRAY,
}
_JSON_FORMATS = {"date-time": ValueKind.ZONED, "date": ValueKind.DATE, "uuid": ValueKind.UUID}
_PROTOBUF_MESSAGES = {
    "google.protobuf.Timestamp": ValueKind.ZONED,
    "google.protobuf.Duration": ValueKind.INTERVAL,
    "google.protobuf.FieldMask": ValueKind.TEXT,
    "google.protobuf.ListValue": ValueKind.ARRAY,
    "confluent.type.Decimal": ValueKind.DECIMAL,
}
_BITS = {"int": 31, "long": 63}


def members_of_schema(fields: Fields, path: Sequence[str] = ()) -> dict[str, Member]:
    """Return the members of the values at a pointer by name, in the order of the schema.

    Raises:
        SchemaError: its values have no members that it names.
    """
    names = fields.names(path)
    if not names:
        raise SchemaError(f"{fields.name} does not describe a value with members")
    return {name: Member(name, declared=declared_at(fields, [*path, name])) for name in names}


def declared_at(fields: Fields, path: Sequence[str]) -> Declared:
    """Return what a schema allows at a pointer. Raises MissingError if it has no such field."""
    read = {SchemaKind.AVRO: _of_avro, SchemaKind.PROTOBUF: _of_protobuf, SchemaKind.JSON: _of_json}[fields.kind]
    found = [read(place) for place in fields.places(path)]
    if None in found:
        return Declared()
    return united(each for each in found if each is not None)


def united(each_declared: Iterable[Declared]) -> Declared:
    """Return what any of several schemas allows."""
    each = list(each_declared)
    return Declared(
        tuple(dict.fromkeys(kind for one in each for kind in one.kinds)), max((one.bits for one in each), default=0)
    )


def _of_avro(schema: Any) -> Declared:
    if isinstance(schema, str):
        return Declared() if schema == "null" else Declared((_AVRO[schema],), _BITS.get(schema, 0))
    logical = str(schema.get("logicalType", "")).removeprefix(PREFIX)
    return Declared((_AVRO_LOGICAL.get(logical) or _AVRO[schema["type"]],))


def _of_json(schema: Any) -> Declared | None:
    """Return what a JSON Schema says plainly; None if it may allow anything."""
    if not isinstance(schema, dict):
        return None
    types = schema.get("type")
    kinds = tuple(
        dict.fromkeys(_JSON[each] for each in (types if isinstance(types, list) else [types]) if each in _JSON)
    )
    if kinds == (ValueKind.TEXT,):
        return Declared((_JSON_FORMATS.get(schema.get("format", ""), ValueKind.TEXT),))
    return Declared(kinds) if kinds else None


def _of_protobuf(place: ProtobufPlace | None) -> Declared | None:
    """Return what is at a place in a message; None if it may be anything."""
    if place is None:
        return None
    message, field, is_list = place
    if is_list:
        is_map = message is not None and message.GetOptions().map_entry
        return Declared((ValueKind.OBJECT if is_map else ValueKind.ARRAY,))
    if message is not None:
        return _of_message(message)
    return _of_scalar(field)


def _of_message(message: Any) -> Declared | None:
    name = message.full_name
    if name == "google.protobuf.Value":
        return None
    if name in _PROTOBUF_MESSAGES:
        return Declared((_PROTOBUF_MESSAGES[name],))
    if name.startswith("google.protobuf.") and name.endswith("Value") and "value" in message.fields_by_name:
        return _of_scalar(message.fields_by_name["value"])
    return Declared((ValueKind.OBJECT,))


def _of_scalar(field: Any) -> Declared:
    if field.enum_type is not None:
        return Declared((ValueKind.TEXT,))
    if field.type == field.TYPE_BYTES:
        return Declared((ValueKind.BYTES,))
    if field.cpp_type == field.CPPTYPE_UINT64:
        return Declared((ValueKind.HUGE,), 64)
    kind = {
        field.CPPTYPE_BOOL: ValueKind.BOOLEAN,
        field.CPPTYPE_STRING: ValueKind.TEXT,
        field.CPPTYPE_DOUBLE: ValueKind.REAL,
        field.CPPTYPE_FLOAT: ValueKind.REAL,
    }.get(field.cpp_type, ValueKind.INTEGER)
    if kind is not ValueKind.INTEGER:
        return Declared((kind,))
    return Declared((kind,), {field.CPPTYPE_INT32: 31, field.CPPTYPE_UINT32: 32}.get(field.cpp_type, 63))
