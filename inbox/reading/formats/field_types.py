"""The Python types of the values that a schema allows in a place, as the decoders make them."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from inbox.reading.formats.avro.schemas import PREFIX
from inbox.reading.values import Date, Interval, TimeOfDay, Timestamp

Types = frozenset[type] | None
"""The types that values may have, without that of null; None for any."""


class ProtobufPlace(NamedTuple):
    """A place in a message: a field, or the message itself; `is_list`: all values of a repeated field."""

    message: Any
    field: Any
    is_list: bool = False


_AVRO: Mapping[str, type] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "fixed": bytes,
    "string": str,
    "enum": str,
    "array": list,
    "map": dict,
    "record": dict,
}
_LOGICAL: Mapping[str, type] = {"decimal": Decimal, "uuid": UUID, "duration": Interval, "date": Date}
_PROTOBUF: Mapping[str, Types] = {
    "google.protobuf.Timestamp": frozenset({Timestamp}),
    "google.protobuf.Duration": frozenset({Interval}),
    "google.protobuf.DoubleValue": frozenset({float}),
    "google.protobuf.FloatValue": frozenset({float}),
    **{f"google.protobuf.{each}Value": frozenset({int}) for each in ("Int32", "Int64", "UInt32", "UInt64")},
    "google.protobuf.BoolValue": frozenset({bool}),
    "google.protobuf.StringValue": frozenset({str}),
    "google.protobuf.BytesValue": frozenset({bytes}),
    "google.protobuf.FieldMask": frozenset({str}),
    "google.protobuf.ListValue": frozenset({list}),
    "google.protobuf.Value": None,
    "confluent.type.Decimal": frozenset({Decimal}),
}


def of_avro(schemas: Iterable[Any]) -> Types:
    """Return the types of prepared schemas that are written out."""
    return frozenset(_of_avro_type(each) for each in schemas if each != "null")


def _of_avro_type(schema: Any) -> type:
    if isinstance(schema, str):
        return _AVRO[schema]
    logical = schema.get("logicalType", "").removeprefix(PREFIX)
    if logical.startswith("time-"):
        return TimeOfDay
    if "timestamp" in logical:
        return Timestamp
    return _LOGICAL.get(logical) or _AVRO[schema["type"]]


def of_protobuf(places: Sequence[ProtobufPlace | None]) -> Types:
    """Return the types of places in messages; None among them is a place that may hold anything."""
    found: set[type] = set()
    for place in places:
        types = None if place is None else _of_place(place)
        if types is None:
            return None
        found |= types
    return frozenset(found)


def _of_place(place: ProtobufPlace) -> Types:
    message, field, is_list = place
    if is_list:
        is_map = message is not None and message.GetOptions().map_entry
        return frozenset({dict if is_map else list})
    if message is not None:
        return _PROTOBUF.get(message.full_name, frozenset({dict}))
    if field.enum_type is not None:
        return frozenset({str, int})
    if field.type == field.TYPE_BYTES:
        return frozenset({bytes})
    by_kind = {field.CPPTYPE_BOOL: bool, field.CPPTYPE_STRING: str}
    real = field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT)
    return frozenset({float if real else by_kind.get(field.cpp_type, int)})
