"""Read what a route makes rows of: the rows in a sample of its events, and the fields of its schemas."""

from collections.abc import Mapping, Sequence
from typing import Any

from inbox.documents import pointer_steps
from inbox.errors import StartupError
from inbox.kafka.options import KafkaOptions
from inbox.operations.samples.drift import RowSchema
from inbox.operations.samples.log_sample import sample_of
from inbox.operations.samples.route_schemas import element_path, schemas_of
from inbox.operations.samples.sample_reader import SampleReader
from inbox.reading.formats.fields import Fields
from inbox.reading.schemas import NamedSchemas, SchemaError
from inbox.sink.routes import Route
from inbox.store.options import TableTarget


def row_schemas(route: Route, registry: NamedSchemas | None) -> list[RowSchema]:
    """Return the fields of the route's schemas: of its file, or of the newest of each subject.

    Raises:
        StartupError: a schema cannot be used.
        TryAgainError: the registry does not answer.
    """
    found: list[RowSchema] = []
    try:
        for schema in schemas_of(route, registry):
            fields = Fields(schema, route.format.message)
            found.append(RowSchema(fields, element_path(route, fields)))
    except SchemaError as error:
        raise StartupError(str(error)) from None
    return found


def rows_of(kafka: KafkaOptions, route: Route, target: TableTarget, sample: int) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a sample of the route's events, or of their elements, the older ones first.

    Raises:
        StartupError, TryAgainError: as `sample_of`.
    """
    records = [
        record for topic in route.topics for record in sample_of(kafka, topic, sample // len(route.topics) or 1).records
    ]
    records.sort(key=lambda record: record.timestamp()[1])
    rows: list[Any] = [
        event.row for event in SampleReader(route.format, route.envelope).events(records) if event.row is not None
    ]
    for step in pointer_steps(target.for_each or ""):
        rows = [row[step] for row in rows if isinstance(row, dict) and step in row]
    if target.for_each is not None:
        rows = [element for each in rows if isinstance(each, list) for element in each]
    return [row for row in rows if isinstance(row, dict)]
