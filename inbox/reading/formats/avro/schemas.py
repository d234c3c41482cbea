"""Prepare an Avro schema for decoding: every name resolved, bounded, and with the logical types of this project.

Names become short ones of our own, because values do not hold names. What decoding does not need
(defaults, aliases, documentation) is left out; writing needs the defaults. A logical type that does
not fit its type is ignored, as the specification says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from inbox.reading.schemas import DEEPEST, MOST_NODES, SchemaError, WrittenSchema, require_bounded

PREFIX = "inbox-"
"""The prefix of the logical types, so that those which others registered with fastavro mean nothing here."""

NANOSECONDS = {"millis": 1_000_000, "micros": 1000, "nanos": 1}
"""The nanoseconds in each unit that a logical type of a time ends with."""

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_LOGICAL = {
    "int": {"date", "time-millis"},
    "long": {
        "time-micros",
        "timestamp-millis",
        "timestamp-micros",
        "timestamp-nanos",
        "local-timestamp-millis",
        "local-timestamp-micros",
        "local-timestamp-nanos",
    },
    "string": {"uuid"},
}
MOST_DIGITS = 131_072
_LARGEST_SCALE = 16_383
_MOST_WITHOUT_BYTES = 100
"""The most values that one type may have which take no bytes: nulls, and records of nothing else."""


class PreparedSchema:
    """An Avro schema in which every type is written out where it is first used.

    Attributes:
        schema: the schema for fastavro.
        recursive: whether a type contains itself, so that values may nest without bound.
    """

    def __init__(self, written: WrittenSchema, *, keeps_defaults: bool = False) -> None:
        require_bounded(written)
        self._written = written
        self._keeps_defaults = keeps_defaults
        self._names: dict[str, str] = {}
        self._open: set[str] = set()
        self._without_bytes: set[str] = set()
        self._bytes_free: dict[str, int] = {}
        self._nodes = 0
        self._referred: dict[str, tuple[Any, str]] = {}
        self.recursive = False
        for reference in written.references:
            self._learn_names(self._json(reference.text), "", 0)
        self.schema = self._type(self._json(written.text), "", 0)

    def _json(self, text: str) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError as error:
            if text.strip() in _PRIMITIVES:
                return text.strip()
            raise SchemaError(f"{self._written.name} is not JSON: {error.msg}") from None

    def _learn_names(self, schema: Any, namespace: str, depth: int) -> None:
        """Note where each named type of a reference is defined, to write it out where it is used."""
        self._count(depth)
        if isinstance(schema, list):
            for each in schema:
                self._learn_names(each, namespace, depth + 1)
        if not isinstance(schema, dict):
            return
        if schema.get("type") in ("record", "error", "enum", "fixed"):
            name, inner = self._full_name(schema, namespace)
            self._referred.setdefault(name, (schema, namespace))
            namespace = inner
        for part in (schema.get("type"), schema.get("items"), schema.get("values")):
            if isinstance(part, dict | list):
                self._learn_names(part, namespace, depth + 1)
        fields = schema.get("fields")
        for field in fields if isinstance(fields, list) else ():
            if isinstance(field, dict):
                self._learn_names(field.get("type"), namespace, depth + 1)

    def _type(self, schema: Any, namespace: str, depth: int) -> Any:
        self._count(depth)
        if isinstance(schema, str):
            return self._named(schema, namespace, depth)
        if isinstance(schema, list):
            return [self._type(each, namespace, depth + 1) for each in schema]
        if not isinstance(schema, dict):
            raise self._invalid("a type is neither a name, a union nor an object")
        kind = schema.get("type")
        if isinstance(kind, dict | list):
            return self._type(kind, namespace, depth + 1)
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(schema, namespace, depth)
        if kind == "array":
            return self._array(schema, namespace, depth)
        if kind == "map":
            return {"type": "map", "values": self._type(schema.get("values"), namespace, depth + 1)}
        if isinstance(kind, str) and kind in _PRIMITIVES:
            return self._logical(schema, kind)
        if isinstance(kind, str):
            return self._named(kind, namespace, depth)
        raise self._invalid("an object has no type")

    def _named(self, name: str, namespace: str, depth: int) -> Any:
        if name in _PRIMITIVES:
            return name
        candidates = [name] if "." in name or not namespace else [f"{namespace}.{name}", name]
        for full in candidates:
            if full in self._names:
                self.recursive = self.recursive or full in self._open
                return self._names[full]
            if full in self._referred:
                return self._definition(*self._referred[full], depth)
        raise self._invalid(f'the type "{name}" is not defined')

    def _definition(self, schema: Mapping[str, Any], namespace: str, depth: int) -> Any:
        name, inner = self._full_name(schema, namespace)
        if name in self._names:
            raise self._invalid(f'the type "{name}" is defined twice')
        short = self._names[name] = f"t{len(self._names)}"
        if schema["type"] == "enum":
            return {"type": "enum", "name": short, "symbols": self._symbols(schema)}
        if schema["type"] == "fixed":
            size = schema.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise self._invalid(f'the fixed type "{name}" has no size')
            return self._logical_fixed(schema, {"type": "fixed", "name": short, "size": size})
        self._open.add(name)
        fields = [self._field(each, inner, depth) for each in self._list(schema, "fields")]
        self._open.discard(name)
        if all(self._may_be_empty(field["type"]) for field in fields):
            self._without_bytes.add(short)
        self._bytes_free[short] = sum(self._count_without_bytes(field["type"]) for field in fields)
        if self._bytes_free[short] > _MOST_WITHOUT_BYTES:
            raise self._invalid(f'the record "{name}" has more than {_MOST_WITHOUT_BYTES} values that take no bytes')
        return {"type": "record", "name": short, "fields": fields}

    def _field(self, field: Any, namespace: str, depth: int) -> Any:
        if not isinstance(field, dict) or not isinstance(field.get("name"), str):
            raise self._invalid("a field has no name")
        # Some generators write the logical type beside the field's type; the specification ignores it there.
        prepared = {"name": field["name"], "type": self._type(field.get("type"), namespace, depth + 1)}
        if self._keeps_defaults and "default" in field:
            prepared["default"] = field["default"]
        return prepared

    def _array(self, schema: Mapping[str, Any], namespace: str, depth: int) -> Any:
        items = self._type(schema.get("items"), namespace, depth + 1)
        if self._may_be_empty(items):
            raise self._invalid("the items of an array have no bytes, so that a short value might stand for billions")
        return {"type": "array", "items": items}

    def _symbols(self, schema: Mapping[str, Any]) -> Sequence[Any]:
        symbols = self._list(schema, "symbols")
        self._nodes += len(symbols)
        self._count(0)
        if not all(isinstance(each, str) for each in symbols):
            raise self._invalid("a symbol of an enum is not a text")
        return symbols

    def _logical(self, schema: Mapping[str, Any], kind: str) -> Any:
        logical = schema.get("logicalType")
        if kind == "bytes" and logical == "decimal":
            return self._decimal(schema, {"type": "bytes"})
        if isinstance(logical, str) and logical in _LOGICAL.get(kind, ()):
            return {"type": kind, "logicalType": PREFIX + logical}
        return kind

    def _logical_fixed(self, schema: Mapping[str, Any], fixed: dict[str, Any]) -> Any:
        logical = schema.get("logicalType")
        if logical == "decimal":
            return self._decimal(schema, fixed)
        if (logical, fixed["size"]) in (("uuid", 16), ("duration", 12)):
            return {**fixed, "logicalType": f"{PREFIX}{logical}"}
        return fixed

    def _decimal(self, schema: Mapping[str, Any], kind: dict[str, Any]) -> Any:
        precision, scale = _count_of(schema.get("precision")), _count_of(schema.get("scale", 0))
        if precision < 1 or not 0 <= scale <= precision:
            return kind if "name" in kind else kind["type"]
        if precision > MOST_DIGITS or scale > _LARGEST_SCALE:
            raise self._invalid(f"a decimal has precision {precision} and scale {scale}, more than PostgreSQL keeps")
        return {**kind, "logicalType": f"{PREFIX}decimal", "precision": precision, "scale": scale}

    def _full_name(self, schema: Mapping[str, Any], namespace: str) -> tuple[str, str]:
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise self._invalid("a named type has no name")
        if "." not in name:
            own = schema.get("namespace")
            space = own if isinstance(own, str) else namespace
            name = f"{space}.{name}" if space else name
        return name, name.rpartition(".")[0]

    def _list(self, schema: Mapping[str, Any], key: str) -> list[Any]:
        found = schema.get(key)
        if not isinstance(found, list):
            raise self._invalid(f'a named type has no "{key}"')
        return found

    def _may_be_empty(self, schema: Any) -> bool:
        """Return whether a value of the type may be encoded in no bytes."""
        if isinstance(schema, str):
            return schema == "null" or schema in self._without_bytes
        if not isinstance(schema, dict):
            return False
        if schema["type"] == "fixed":
            return bool(schema["size"] == 0)
        return schema["type"] == "record" and schema["name"] in self._without_bytes

    def _count_without_bytes(self, schema: Any) -> int:
        """Return how many values that take no bytes each value of the type has: a short value may not grow large."""
        name = schema["name"] if isinstance(schema, dict) and "name" in schema else schema
        within = self._bytes_free.get(name, 0) if isinstance(name, str) else 0
        return within + self._may_be_empty(schema)

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if depth > DEEPEST:
            raise self._invalid(f"it nests more than {DEEPEST} levels deep")
        if self._nodes > MOST_NODES:
            raise self._invalid(f"it has more than {MOST_NODES} types and symbols")

    def _invalid(self, reason: str) -> SchemaError:
        return SchemaError(f"{self._written.name} cannot be used: {reason}")


def _count_of(value: Any) -> int:
    """Return the value if it is a whole number that is not negative, otherwise -1."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1
