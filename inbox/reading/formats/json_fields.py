"""Find what a JSON Schema says of a place, where it says that plainly.

Only `type`, `properties`, `items` and references within the schema are followed. Whatever else a
schema has may allow more, so a place beyond it may hold anything.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from inbox.reading.formats.missing import MissingError
from inbox.reading.schemas import DEEPEST, SchemaError, WrittenSchema

_TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float, Decimal}),
    "boolean": frozenset({bool}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
    "null": frozenset(),
}
_BEYOND = frozenset({"$dynamicRef", "allOf", "anyOf", "oneOf", "if", "then", "else", "patternProperties", "extends"})


class JsonFields:
    """The places of a JSON Schema. Raises SchemaError if it is not valid."""

    def __init__(self, schema: WrittenSchema) -> None:
        try:
            self._root: Any = orjson.loads(schema.text)
        except orjson.JSONDecodeError as error:
            raise SchemaError(f"{schema.name} is not JSON: {error.msg}") from None

    def types(self, path: Sequence[str]) -> frozenset[type] | None:
        """Return the types of the values at a pointer, without that of null; None for any.

        Raises:
            MissingError: the schema names its members, and no such one.
        """
        return self._declared(self.place(path))

    def place(self, path: Sequence[str]) -> Any:
        """Return the schema at a pointer; None where there may be anything. Raises MissingError as `types` does."""
        schema = self._root
        for at, step in enumerate(path):
            schema = self._resolved(schema)
            if step.isdigit() and _holds_elements(schema):
                schema = schema["items"]
                continue
            members = _members_of(schema)
            if members is None:
                return None
            if step not in members:
                if schema.get("additionalProperties", True) is not False:
                    return None
                raise MissingError(list(members), len(path) - at)
            schema = members[step]
        return self._resolved(schema)

    def names(self, path: Sequence[str]) -> list[str] | None:
        """Return the names of the members that the schema describes at a pointer; None where it names none."""
        schema = self._resolved(self._root)
        for step in path:
            items = schema["items"] if step.isdigit() and _holds_elements(schema) else None
            schema = self._resolved((_members_of(schema) or {}).get(step, items))
        members = _members_of(schema)
        return None if members is None else list(members)

    def _declared(self, schema: Any) -> frozenset[type] | None:
        if not isinstance(schema, dict) or _BEYOND & schema.keys():
            return None
        declared = schema.get("type")
        kinds: list[Any] = declared if isinstance(declared, list) else [declared]
        if not all(isinstance(each, str) and each in _TYPES for each in kinds):
            return None
        return frozenset[type]().union(*(_TYPES[each] for each in kinds))

    def _resolved(self, schema: Any) -> Any:
        """Follow references within the schema; one that leads elsewhere may allow anything."""
        for _ in range(DEEPEST):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            reference = schema["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return None
            schema = self._root
            for step in reference[2:].split("/"):
                schema = schema.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
        return None


def _members_of(schema: Any) -> Mapping[str, Any] | None:
    """Return the members that a schema describes; None where whatever else it has may describe more."""
    if not isinstance(schema, dict) or _BEYOND & schema.keys():
        return None
    members = schema.get("properties")
    return members if isinstance(members, dict) else None


def _holds_elements(schema: Any) -> bool:
    """Return whether a schema describes the elements of an array."""
    return isinstance(schema, dict) and not _BEYOND & schema.keys() and isinstance(schema.get("items"), dict)
