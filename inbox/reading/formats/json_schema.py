"""Read JSON that names its schema in the registry, and check it against the schema if the route wants that."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from inbox.errors import StartupError
from inbox.events import Header, decoded
from inbox.reading.formats.decoded import Decoded
from inbox.reading.formats.framing import unframed
from inbox.reading.schemas import CompiledSchemas, SchemaError, SchemaKind, Schemas, WrittenSchema, require_bounded

Check = Callable[[Any], None]


class JsonSchemaFormat:
    """The format of a route whose records are JSON behind the id of their schema.

    Without `validate` the registry is not asked: the document says everything.
    """

    def __init__(self, schemas: Schemas | None, *, header: str, validate: bool) -> None:
        self._checks: CompiledSchemas[Check] | None = None
        if validate and schemas is not None:
            require_jsonschema()
            self._checks = CompiledSchemas(schemas, SchemaKind.JSON, compile_check)
        self._header = header

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode framed bytes, as `RecordFormat` says."""
        frame = unframed(data, headers, self._header)
        if self._checks is not None:
            self._checks.get(frame.schema_id)(decoded(frame.data))
        return Decoded(document=frame.data, schema_id=frame.schema_id, behind_id=frame.data)


class JsonSchemaFile:
    """The format of a route whose values are plain JSON of one schema."""

    def __init__(self, schema: WrittenSchema, *, validate: bool) -> None:
        require_jsonschema()
        self._check = compile_check(schema) if validate else None

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes, as `RecordFormat` says."""
        if self._check is not None:
            self._check(decoded(data))
        return Decoded(document=data)


def require_jsonschema(needing: str = "validate = true") -> None:
    """Raise StartupError if the extra is not installed."""
    try:
        import jsonschema  # noqa: F401 - an extra
    except ImportError:
        raise StartupError(f'{needing} needs jsonschema; pip install "kafka-inbox[json-schema]"') from None


def compile_check(written: WrittenSchema) -> Check:
    """Return a check of documents against the schema. Raises SchemaError if the schema is not valid.

    A reference to anything but the schema itself and its registered references is an error: nothing
    is ever read from a file or a network.
    """
    from jsonschema.exceptions import SchemaError as InvalidSchemaError
    from jsonschema.validators import extend, validator_for
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT7

    require_bounded(written)
    resources = [(each.name, _json(each.text, written)) for each in written.references]
    schema = _json(written.text, written)
    registry: Registry[Any] = Registry().with_resources(
        (name, Resource.from_contents(contents, default_specification=DRAFT7)) for name, contents in resources
    )
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except (InvalidSchemaError, RecursionError) as error:
        reason = error.message if isinstance(error, InvalidSchemaError) else "it nests too deep"
        raise SchemaError(f"{written.name} cannot be used: {reason[:200]}") from None
    validator = extend(kind, {"uniqueItems": _unique})(schema, registry=registry)

    def check(document: Any) -> None:
        try:
            failure = next(validator.iter_errors(document), None)
        except Unresolvable as error:
            raise SchemaError(f"{written.name} refers to {str(error.ref)[:200]}, which is not registered") from None
        except RecursionError:
            raise SchemaError(f"the value does not fit {written.name}: it nests too deep") from None
        if failure is not None:
            raise SchemaError(f"the value does not fit {written.name}: {_rule(failure)}")

    return check


def _unique(validator: Any, unique: Any, items: Any, schema: Any) -> Iterator[Any]:
    """Yield an error where two items are equal. jsonschema compares each with all others: 16 s for 2,000 objects."""
    from jsonschema.exceptions import ValidationError

    if unique is True and isinstance(items, list) and len(set(map(_hashable, items))) < len(items):
        yield ValidationError("two items are equal")


def _hashable(value: Any) -> Any:
    """Return what is equal for equal values of JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return frozenset((name, _hashable(each)) for name, each in value.items())
    return value


def _rule(failure: Any) -> str:
    """Return the rule that was broken, which is the schema's; never the value, nor the name of a member."""
    path = "/".join(str(part) for part in failure.absolute_schema_path)
    return f'rule "{failure.validator}" (#/{path[:200]})'


def _json(text: str, written: WrittenSchema) -> Any:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SchemaError(f"{written.name} is not JSON: {error.msg}") from None
    if not isinstance(found, dict | bool):
        raise SchemaError(f"{written.name} is not a JSON Schema")
    return found
