"""Find out whether a schema has what a pointer looks for, before any event comes."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from inbox.reading.formats.avro_schemas import PreparedSchema
from inbox.reading.formats.protobuf_descriptors import Messages
from inbox.reading.schemas import SchemaKind, WrittenSchema

_OPEN = frozenset(
    {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any", "google.protobuf.ListValue"}
)


class Missing(Exception):  # noqa: N818 - an answer on its way up
    """A step of a pointer that the schema does not have.

    `known` are the names beside it, and `left` is the number of steps from it to the end.
    """

    def __init__(self, known: Sequence[str], left: int) -> None:
        super().__init__()
        self.known = known
        self.left = left


def unknown_field(schema: WrittenSchema, path: Sequence[str], message: str | None = None) -> str | None:
    """Return what is wrong with a pointer into values of this schema, with the name that is near; None if nothing is.

    Raises:
        SchemaError: the schema is not valid.
    """
    try:
        if schema.kind is SchemaKind.AVRO:
            prepared = PreparedSchema(schema).schema
            _in_avro(prepared, path, _definitions(prepared))
        elif schema.kind is SchemaKind.PROTOBUF:
            _in_protobuf(Messages(schema).descriptor_of(message), path)
    except Missing as missing:
        at = len(path) - missing.left
        near = get_close_matches(path[at], missing.known, n=1)
        if not near:
            return f"{schema.name} has no such field"
        shown = "/".join([*path[:at], near[0], *path[at + 1 :]])
        return f"{schema.name} has no such field; did you mean /{shown}?"
    return None


def _definitions(schema: Any) -> Mapping[str, Any]:
    """Return the named types of a prepared schema."""
    found: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            if "name" in each:
                found[each["name"]] = each
            waiting += [each.get("items"), each.get("values"), *(field["type"] for field in each.get("fields", ()))]
    return found


def _in_avro(schema: Any, path: Sequence[str], named: Mapping[str, Any]) -> None:
    if not path:
        return
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        _in_any(schema, path, named)
        return
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        if path[0] not in fields:
            raise Missing(list(fields), len(path))
        _in_avro(fields[path[0]], path[1:], named)
    elif kind == "array" and path[0].isdigit():
        _in_avro(schema["items"], path[1:], named)
    elif kind == "map":
        _in_avro(schema["values"], path[1:], named)
    else:
        raise Missing((), len(path))


def _in_any(union: Sequence[Any], path: Sequence[str], named: Mapping[str, Any]) -> None:
    """Accept a pointer that one type of the union has."""
    known, left = list[str](), len(path)
    for each in union:
        try:
            return _in_avro(each, path, named)
        except Missing as missing:
            known, left = [*known, *missing.known], min(left, missing.left)
    raise Missing(known, left)


def _in_protobuf(descriptors: Sequence[Any], path: Sequence[str]) -> None:
    """Accept a pointer that one of the messages has."""
    known, left = list[str](), len(path)
    for descriptor in descriptors:
        try:
            return _in_message(descriptor, path)
        except Missing as missing:
            known, left = [*known, *missing.known], min(left, missing.left)
    raise Missing(known, left)


def _in_message(descriptor: Any, path: Sequence[str]) -> None:
    if not path or descriptor.full_name in _OPEN:
        return
    field = descriptor.fields_by_name.get(path[0])
    if field is None:
        raise Missing(list(descriptor.fields_by_name), len(path))
    rest = path[1:]
    if field.is_repeated and rest:
        message, rest = field.message_type, rest[1:]
        if message is not None and message.GetOptions().map_entry:
            field = message.fields_by_name["value"]
    if rest and field.message_type is None:
        raise Missing((), len(rest))
    if rest:
        _in_message(field.message_type, rest)
