"""The check of a route's pointers against the newest schema of each subject."""

from collections.abc import Iterator

from inbox.documents import pointer_steps
from inbox.errors import StartupError
from inbox.kafka.registry.schemas import SchemaRegistry
from inbox.reading.formats.fields import unknown_field
from inbox.reading.options import Envelope, Format
from inbox.reading.schemas import SchemaError, SchemaKind
from inbox.sink.routes import HandlerTarget, Route

_KINDS = {Format.AVRO: SchemaKind.AVRO, Format.PROTOBUF: SchemaKind.PROTOBUF}


def require_fields(route: Route, registry: SchemaRegistry) -> None:
    """Raise StartupError with a line for each pointer that the newest schemas of the route's topics do not have.

    A topic without the subject TOPIC-value is passed over: its producers may name subjects in another way.
    """
    kind = _KINDS.get(route.format.value)
    if kind is None or route.format.schema is not None or route.envelope is not Envelope.NONE:
        return
    problems: list[str] = []
    for topic in route.topics:
        try:
            schema = registry.newest(f"{topic}-value", kind)
            if schema is None:
                continue
            for what, pointer in _pointers(route):
                if (wrong := unknown_field(schema, pointer_steps(pointer), route.format.message)) is not None:
                    problems.append(f"{what} from {pointer}: {wrong}")
        except SchemaError as error:
            problems.append(str(error))
    if problems:
        raise StartupError("\n".join(problems))


def _pointers(route: Route) -> Iterator[tuple[str, str]]:
    """Yield each pointer of the route into the value, with what it is for."""
    for name, rule in (("event_id", route.event_id), ("event_type", route.event_type)):
        if rule is not None and rule.startswith("value:"):
            yield name, rule.removeprefix("value:")
    if isinstance(route.target, HandlerTarget):
        return
    for column, source in route.target.columns.items():
        if source.source is not None and source.source.startswith("/"):
            yield f'column "{column}"', source.source
