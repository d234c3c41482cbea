"""Describe schemas and where they come from. A schema is data from outside, so its size is bounded."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from inbox.errors import EventError

SchemaId = int | UUID
"""The id of a schema as a record names it: a number, or a GUID."""

LARGEST_SCHEMA = 1024 * 1024
"""The most characters of a schema together with everything that it refers to."""

MOST_REFERENCES = 100
"""The most schemas that a schema may refer to, directly and through others."""

DEEPEST = 64
"""The most levels that a schema may nest, and the most references that may lie between two schemas."""

MOST_NODES = 20_000
"""The most types, fields and symbols of a schema."""

_Compiled = TypeVar("_Compiled")


class SchemaKind(StrEnum):
    """The language of a schema, by its name in the registry."""

    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another one imports: the name by which it does so, and the text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class WrittenSchema:
    """A schema as it was registered.

    Attributes:
        kind: its language.
        text: a JSON document, or for Protobuf a serialized FileDescriptorProto in base64.
        references: every schema that it needs, each after those that it needs itself.
        name: what errors call it: `schema 7`, `orders-value version 3`, `schemas/orders.avsc`.
    """

    kind: SchemaKind
    text: str
    references: tuple[Reference, ...] = ()
    name: str = "the schema"


class SchemaError(EventError):
    """The error of a schema that cannot be used, or of a value that is not what its schema says."""


class Schemas(Protocol):
    """A source of schemas: a registry."""

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        """Return the schema with this id.

        Raises:
            TryAgainError: the registry does not answer, or has not learned the id yet.
            EventError: no such schema exists, or it is of another kind or too large.
        """
        ...


class NamedSchemas(Schemas, Protocol):
    """A source of schemas that also knows subjects."""

    def newest(self, subject: str, kind: SchemaKind) -> WrittenSchema | None:
        """Return the newest schema of a subject, or None if there is no such subject; raise as `schema` does."""
        ...


class CompiledSchemas(Generic[_Compiled]):
    """The compiled schemas of a route by their ids. The least recently used ones give way.

    Args:
        compile_schema: what is done once for each schema; it raises SchemaError.
    """

    def __init__(
        self,
        schemas: Schemas,
        kind: SchemaKind,
        compile_schema: Callable[[WrittenSchema], _Compiled],
        *,
        capacity: int = 1000,
    ) -> None:
        self._schemas = schemas
        self._kind = kind
        self._compile = compile_schema
        self._capacity = capacity
        self._compiled: OrderedDict[SchemaId, _Compiled | SchemaError] = OrderedDict()
        self._newest_id: SchemaId | None = None
        self._newest: _Compiled | None = None

    def __len__(self) -> int:
        return len(self._compiled)

    def get(self, schema_id: SchemaId) -> _Compiled:
        """Return the compiled schema.

        Raises:
            TryAgainError, EventError: as `Schemas.schema`.
            SchemaError: the schema is not valid.
        """
        if schema_id == self._newest_id and self._newest is not None:
            return self._newest
        found = self._compiled.get(schema_id)
        if found is None:
            found = self._compiled[schema_id] = self._compile_new(schema_id)
            if len(self._compiled) > self._capacity:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(schema_id)
        if isinstance(found, SchemaError):
            raise SchemaError(*found.args)
        self._newest_id, self._newest = schema_id, found
        return found

    def _compile_new(self, schema_id: SchemaId) -> _Compiled | SchemaError:
        try:
            return self._compile(self._schemas.schema(schema_id, self._kind))
        except SchemaError as error:
            return error


def require_bounded(schema: WrittenSchema) -> None:
    """Raise SchemaError if the schema is larger than any that this project reads."""
    size = len(schema.text) + sum(len(each.text) for each in schema.references)
    if size > LARGEST_SCHEMA:
        raise SchemaError(f"{schema.name} has {size} characters with its references; at most {LARGEST_SCHEMA} are read")
    if len(schema.references) > MOST_REFERENCES:
        raise SchemaError(
            f"{schema.name} refers to {len(schema.references)} other schemas; at most {MOST_REFERENCES} are read"
        )
