"""The schemas of a route's values, and where in them its rows are."""

from collections.abc import Iterator, Sequence

from inbox.documents import pointer_steps
from inbox.reading.formats.fields import Fields
from inbox.reading.options import Envelope, Format
from inbox.reading.schemas import NamedSchemas, SchemaKind, WrittenSchema
from inbox.sink.routes import HandlerTarget, Route

KINDS = {Format.AVRO: SchemaKind.AVRO, Format.PROTOBUF: SchemaKind.PROTOBUF, Format.JSON_SCHEMA: SchemaKind.JSON}
"""The formats whose values have schemas, with the languages of these."""


def schemas_of(route: Route, registry: NamedSchemas | None) -> Iterator[WrittenSchema]:
    """Yield the schema of the route's file, or the newest one of each topic's subject, which is TOPIC-value.

    A topic without this subject is passed over: its producers may name subjects in another way.

    Raises:
        TryAgainError: the registry does not answer.
        SchemaError: the newest schema is of another language, or too large.
    """
    kind = KINDS.get(route.format.value)
    if kind is None:
        return
    if route.format.schema is not None:
        yield route.format.schema
    elif registry is not None:
        for topic in route.topics:
            schema = registry.newest(f"{topic}-value", kind)
            if schema is not None:
                yield schema


def row_path(envelope: Envelope, fields: Fields) -> list[str]:
    """Return the steps to the row: in Debezium's envelope it is the member `after`."""
    return ["after"] if envelope is Envelope.DEBEZIUM and fields.has(["after"]) else []


def element_path(route: Route, fields: Fields) -> Sequence[str]:
    """Return the steps to what a table's row is made of."""
    row = row_path(route.envelope, fields)
    each = None if isinstance(route.target, HandlerTarget) else route.target.for_each
    return row if each is None else [*row, *pointer_steps(each), "0"]
