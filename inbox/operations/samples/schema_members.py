"""The members that the values of a schema have, as if a sample had one value of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from inbox.operations.samples.kinds import Member, ValueKind
from inbox.reading.formats.avro.schemas import PREFIX, PreparedSchema
from inbox.reading.formats.protobuf.descriptors import Messages
from inbox.reading.schemas import SchemaError, SchemaKind, WrittenSchema

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
_PROTOBUF_MESSAGES = {"google.protobuf.Timestamp": ValueKind.ZONED, "google.protobuf.Duration": ValueKind.INTERVAL}
_PROTOBUF = {
    "double": ValueKind.REAL,
    "float": ValueKind.REAL,
    "bool": ValueKind.BOOLEAN,
    "string": ValueKind.TEXT,
    "enum": ValueKind.TEXT,
    "uint64": ValueKind.HUGE,
    "message": ValueKind.OBJECT,
}


def members_of_schema(schema: WrittenSchema) -> dict[str, Member]:
    """Return the members of the values by name, in the order of the schema.

    Raises:
        SchemaError: the schema is not valid, or its values have no members.
    """
    read = {SchemaKind.AVRO: _of_avro, SchemaKind.PROTOBUF: _of_protobuf, SchemaKind.JSON: _of_json}[schema.kind]
    found = {name: Member(name, Counter(kinds), present=1) for name, kinds in read(schema).items()}
    if not found:
        raise SchemaError(f"{schema.name} describes no value with members")
    return found


def _of_avro(schema: WrittenSchema) -> Mapping[str, Sequence[ValueKind]]:
    prepared = PreparedSchema(schema).schema
    if not isinstance(prepared, dict) or prepared.get("type") != "record":
        return {}
    return {field["name"]: _avro_kinds(field["type"]) for field in prepared["fields"]}


def _avro_kinds(schema: Any) -> list[ValueKind]:
    if isinstance(schema, list):
        return sorted({kind for each in schema for kind in _avro_kinds(each)})
    if isinstance(schema, str):
        # A name of another kind stands for a type that was written out before: a record, or an enum.
        return [] if schema == "null" else [_AVRO.get(schema, ValueKind.OBJECT)]
    logical = str(schema.get("logicalType", "")).removeprefix(PREFIX)
    return [_AVRO_LOGICAL.get(logical) or _AVRO[schema["type"]]]


def _of_json(schema: WrittenSchema) -> Mapping[str, Sequence[ValueKind]]:
    document = orjson.loads(schema.text)
    properties = document.get("properties") if isinstance(document, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: _json_kinds(each) for name, each in properties.items()}


def _json_kinds(schema: Any) -> list[ValueKind]:
    if not isinstance(schema, dict):
        return []
    types = schema.get("type")
    kinds = {_JSON[each] for each in (types if isinstance(types, list) else [types]) if each in _JSON}
    if kinds == {ValueKind.TEXT}:
        return [_JSON_FORMATS.get(schema.get("format", ""), ValueKind.TEXT)]
    return sorted(kinds)


def _of_protobuf(schema: WrittenSchema) -> Mapping[str, Sequence[ValueKind]]:
    [first, *_] = Messages(schema).descriptor_of(None) or [None]
    return {} if first is None else {field.name: [_protobuf_kind(field)] for field in first.fields}


def _protobuf_kind(field: Any) -> ValueKind:
    if field.is_repeated:
        message = field.message_type
        return ValueKind.OBJECT if message is not None and message.GetOptions().map_entry else ValueKind.ARRAY
    if field.message_type is not None:
        name = field.message_type.full_name
        if name in _PROTOBUF_MESSAGES:
            return _PROTOBUF_MESSAGES[name]
        wrapped = field.message_type.fields_by_name.get("value") if name.endswith("Value") else None
        return (
            ValueKind.OBJECT if wrapped is None or not name.startswith("google.protobuf.") else _protobuf_kind(wrapped)
        )
    return _scalar(field)


def _scalar(field: Any) -> ValueKind:
    names = {field.TYPE_DOUBLE: "double", field.TYPE_FLOAT: "float", field.TYPE_BOOL: "bool"}
    names |= {field.TYPE_STRING: "string", field.TYPE_ENUM: "enum"}
    names |= {field.TYPE_UINT64: "uint64", field.TYPE_FIXED64: "uint64"}
    if field.type == field.TYPE_BYTES:
        return ValueKind.BYTES
    return _PROTOBUF.get(names.get(field.type, ""), ValueKind.INTEGER)
