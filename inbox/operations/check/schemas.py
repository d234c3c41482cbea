"""The check of a route's pointers and columns against its schema file, or the newest schema of each subject."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inbox.documents import pointer_steps
from inbox.errors import StartupError
from inbox.kafka.registry.schemas import SchemaRegistry
from inbox.operations.check.drift import drift_line, tells_drift
from inbox.operations.samples.route_schemas import KINDS, element_path, row_path, schemas_of
from inbox.reading.formats.fields import Fields
from inbox.reading.schemas import SchemaError
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import ColumnSource
from inbox.store.tables.writer import TableWriter


def has_schema(route: Route) -> bool:
    """Return whether the values of a route have a schema, in a registry or in a file."""
    return route.format.value in KINDS


class _Pointer(NamedTuple):
    """A pointer of the route into the value: what it is for, as it is written, and its steps in the whole value."""

    what: str
    text: str
    path: Sequence[str]
    column: str | None = None
    by_name: bool = False


def compare_schemas(route: Route, registry: SchemaRegistry | None, writer: TableWriter | None) -> list[str]:
    """Return advice on the route's columns; `writer` is that of its table, None if there is none or it does not fit.

    A topic without the subject TOPIC-value is passed over: its producers may name subjects in another way.

    Raises:
        StartupError: with a line for each pointer that a schema does not have, and each column that
            cannot take what is there.
    """
    problems: list[str] = []
    advice: list[str] = []
    try:
        for schema in schemas_of(route, registry):
            _compare(route, Fields(schema, route.format.message), writer, problems, advice)
    except SchemaError as error:
        problems.append(str(error))
    if problems:
        raise StartupError("\n".join(dict.fromkeys(problems)))
    return list(dict.fromkeys(advice))


def _compare(route: Route, fields: Fields, writer: TableWriter | None, problems: list[str], advice: list[str]) -> None:
    types: dict[str, frozenset[type]] = {}
    for each in _pointers(route, fields, writer):
        problem, found = fields.find(each.path)
        if problem is not None and each.by_name:
            advice.append(f"{each.what} is filled by name: {problem}, so it keeps its default, or NULL")
        elif problem is not None:
            problems.append(f"{each.what} from {each.text}: {problem}")
        elif each.column is not None and found is not None:
            types[each.column] = found
    advice += _drift(route, fields, writer)
    for certain, line in [] if writer is None else writer.unfit(types):
        (problems if certain else advice).append(line)


def _drift(route: Route, fields: Fields, writer: TableWriter | None) -> Iterator[str]:
    """Yield advice on the fields that fill no column, where the route is to take all of them."""
    target = route.target
    if writer is None or isinstance(target, HandlerTarget) or not tells_drift(target):
        return
    known = writer.known_members
    if known is None:
        return
    new = [name for name in fields.names(element_path(route, fields)) or () if name not in known]
    if new:
        yield drift_line(route.name, f"{fields.name} has fields", new)


def _pointers(route: Route, fields: Fields, writer: TableWriter | None) -> Iterator[_Pointer]:
    row = row_path(route.envelope, fields)
    for name, rule in (("event_id", route.event_id), ("event_type", route.event_type)):
        if rule is not None and rule.startswith("value:"):
            pointer = rule.removeprefix("value:")
            yield _Pointer(name, pointer, [*row, *pointer_steps(pointer)])
    target = route.target
    if isinstance(target, HandlerTarget):
        return
    element = element_path(route, fields)
    if target.for_each is not None:
        yield _Pointer("for_each", target.for_each, element[:-1])
    sources = target.columns if writer is None else writer.columns
    for column, source in sources.items():
        by_name = column not in target.columns and column not in target.key
        yield from (each._replace(by_name=by_name) for each in _of_column(column, source, element, row))


def _of_column(column: str, source: ColumnSource, element: Sequence[str], row: Sequence[str]) -> Iterator[_Pointer]:
    text, pointer = source.source, source.pointer
    if text is None or pointer is None:
        return
    if text.startswith("/"):
        yield _Pointer(f'column "{column}"', text, [*element, *pointer_steps(pointer)], column)
    elif source.document == "$event":
        yield _Pointer(f'column "{column}"', text, [*row, *pointer_steps(pointer)], column)
