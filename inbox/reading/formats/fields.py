"""Find out before any event comes what a schema has where a pointer looks."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from inbox.reading.formats import field_types
from inbox.reading.formats.avro.schemas import PreparedSchema
from inbox.reading.formats.json_fields import JsonFields
from inbox.reading.formats.missing import MissingError
from inbox.reading.formats.protobuf.descriptors import Messages
from inbox.reading.schemas import SchemaKind, WrittenSchema

_OPEN = frozenset(
    {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.Any", "google.protobuf.ListValue"}
)


_NO_NAME = "\x00"
"""A name that no field has."""

_MOST_SHOWN = 10
"""The most pointers that an error names."""


class FoundField(NamedTuple):
    """The field at which a pointer looks.

    Attributes:
        problem: what is wrong with the pointer, with the name that is near; None if nothing is.
        types: the Python types that its values may have, without that of null; None if they may have any.
    """

    problem: str | None
    types: frozenset[type] | None


class Fields:
    """The fields of a schema. Raises SchemaError if the schema is not valid."""

    def __init__(self, schema: WrittenSchema, message: str | None = None) -> None:
        self._schema = schema
        self.name, self.kind = schema.name, schema.kind
        self._root: Any
        if schema.kind is SchemaKind.AVRO:
            self._root = PreparedSchema(schema).schema
            self._named = _definitions(self._root)
        elif schema.kind is SchemaKind.PROTOBUF:
            self._root = Messages(schema).descriptor_of(message)
        else:
            self._root = JsonFields(schema)

    def has(self, path: Sequence[str]) -> bool:
        """Return whether the schema has what a pointer looks for."""
        return self.find(path).problem is None

    def find(self, path: Sequence[str]) -> FoundField:
        """Return what is at a pointer."""
        try:
            return FoundField(None, self._types(path))
        except MissingError as missing:
            return FoundField(self._problem(path, missing), None)

    def names(self, path: Sequence[str]) -> Sequence[str] | None:
        """Return the names of the fields at a pointer; None where there may be any, or none."""
        if self._schema.kind is SchemaKind.JSON:
            found: Sequence[str] | None = self._root.names(path)
            return found
        try:
            self._types([*path, _NO_NAME])
        except MissingError as missing:
            return missing.known if missing.left == 1 else None
        return None

    def places(self, path: Sequence[str]) -> list[Any]:
        """Return what the schema has at a pointer, in its own terms; None among it is anything.

        Prepared Avro types with every name resolved, `ProtobufPlace`s, or JSON Schemas.

        Raises:
            MissingError: the schema has no such field.
        """
        if self._schema.kind is SchemaKind.AVRO:
            return _written_out(_in_avro(self._root, path, self._named), self._named)
        if self._schema.kind is SchemaKind.PROTOBUF:
            return _in_protobuf(self._root, path)
        return [self._root.place(path)]

    def _types(self, path: Sequence[str]) -> frozenset[type] | None:
        if self._schema.kind is SchemaKind.AVRO:
            return field_types.of_avro(self.places(path))
        if self._schema.kind is SchemaKind.PROTOBUF:
            return field_types.of_protobuf(self.places(path))
        found: frozenset[type] | None = self._root.types(path)
        return found

    def _problem(self, path: Sequence[str], missing: MissingError) -> str:
        at = len(path) - missing.left
        near = get_close_matches(path[at], missing.known, n=1)
        if not near:
            return f"{self._schema.name} has no such field{_beside(path[:at], missing.known)}"
        shown = "/".join([*path[:at], near[0], *path[at + 1 :]])
        return f"{self._schema.name} has no such field; did you mean /{shown}?"


def _beside(path: Sequence[str], known: Sequence[str]) -> str:
    """Return the clause with the pointers that the schema has at the end of a path."""
    if not known:
        return f", and /{'/'.join(path)} has none"
    shown = [f"/{'/'.join([*path, name])}" for name in known[:_MOST_SHOWN]]
    return f"; it has {', '.join(shown)}{', ...' if len(known) > _MOST_SHOWN else ''}"


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


def _in_avro(schema: Any, path: Sequence[str], named: Mapping[str, Any]) -> list[Any]:
    """Return the types that may be at the pointer."""
    if not path:
        return [schema]
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        return _in_any(schema, path, named)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        if path[0] not in fields:
            raise MissingError(list(fields), len(path))
        return _in_avro(fields[path[0]], path[1:], named)
    if kind == "array" and path[0].isdigit():
        return _in_avro(schema["items"], path[1:], named)
    if kind == "map":
        return _in_avro(schema["values"], path[1:], named)
    raise MissingError((), len(path))


def _in_any(union: Sequence[Any], path: Sequence[str], named: Mapping[str, Any]) -> list[Any]:
    """Accept a pointer that one type of the union has."""
    found, known, left = list[Any](), list[str](), len(path)
    for each in union:
        try:
            found += _in_avro(each, path, named)
        except MissingError as missing:
            known, left = [*known, *missing.known], min(left, missing.left)
    if not found:
        raise MissingError(known, left)
    return found


def _written_out(schemas: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
    """Return the types among which a value may be one, each written out instead of by its name."""
    found, waiting = list[Any](), list(reversed(schemas))
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += reversed(each)
        else:
            found.append(named.get(each, each) if isinstance(each, str) else each)
    return found


def _in_protobuf(descriptors: Sequence[Any], path: Sequence[str]) -> list[Any]:
    """Accept a pointer that one of the messages has; return what they have there."""
    found, known, left = list[Any](), list[str](), len(path)
    for descriptor in descriptors:
        try:
            found.append(_in_message(descriptor, path))
        except MissingError as missing:
            known, left = [*known, *missing.known], min(left, missing.left)
    if not found:
        raise MissingError(known, left)
    return found


def _in_message(descriptor: Any, path: Sequence[str]) -> field_types.ProtobufPlace | None:
    """Return what a message has at a pointer; None for anything."""
    if not path:
        return field_types.ProtobufPlace(descriptor, None)
    if descriptor.full_name in _OPEN:
        return None
    field = descriptor.fields_by_name.get(path[0])
    if field is None:
        raise MissingError(list(descriptor.fields_by_name), len(path))
    rest, is_element = path[1:], False
    if field.is_repeated and rest:
        message, rest, is_element = field.message_type, rest[1:], True
        if message is not None and message.GetOptions().map_entry:
            field = message.fields_by_name["value"]
    if rest and field.message_type is None:
        raise MissingError((), len(rest))
    if rest:
        return _in_message(field.message_type, rest)
    return field_types.ProtobufPlace(field.message_type, field, is_list=field.is_repeated and not is_element)
