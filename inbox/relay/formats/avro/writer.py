"""Write JSON as Avro with the schema of its subject. Nothing is lost: a payload that does not fit is an error.

A type takes the JSON that `inbox.reading` makes of it: base64 for bytes, ISO 8601 for times, a text
or a number for a decimal. A number may also stand for a time, in the unit of its schema.
"""

import json
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from decimal import Decimal
from typing import Any

from inbox.documents import DocumentError, parse
from inbox.reading.formats.avro.schemas import PREFIX, PreparedSchema
from inbox.reading.schemas import WrittenSchema
from inbox.relay.formats.avro.logical import logical_type
from inbox.relay.formats.avro.values import PLAIN, Put, array_of, enum_of, latin_bytes, long_bytes, map_of, sized
from inbox.relay.formats.misfit import PayloadMisfitError

_LONGEST_DEFAULTS = 1 << 24
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
            return PLAIN.get(schema) or self._later(schema)
        kind, logical = schema["type"], schema.get("logicalType", "").removeprefix(PREFIX)
        if kind == "record":
            return self._record(schema)
        if kind == "array":
            return array_of(self.put(schema["items"]))
        if kind == "map":
            return map_of(self.put(schema["values"]))
        made = enum_of(schema["symbols"]) if kind == "enum" else logical_type(schema, kind, logical)
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
        puts = [(long_bytes(index), self.put(each)) for index, each in order if each != "null"]
        null = long_bytes(branches.index("null")) if "null" in branches else None

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
            return sized(latin_bytes, schema["size"] if kind == "fixed" else None)
        return super().put(schema)


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _null_of(schema: Any) -> Callable[[bytearray], None]:
    data = b"" if schema == "null" else long_bytes(schema.index("null"))
    return lambda out: out.extend(data)
