"""A table route over `t` whose records come in `connect-json`."""

from typing import Any

from inbox.events import Record
from inbox.reading.options import Format, FormatOptions, KeyFormat
from inbox.store.options import TableMode, TableTarget, Tombstones
from tests.support.records import record
from tests.support.store.read_routes import ReadRoute
from tests.support.store.table_routes import Route
from tests.unit.reading.formats.connect import record as connect_record

UPSERT = {"mode": TableMode.UPSERT, "key": ("id",), "tombstones": Tombstones.DELETE}


class DecodedRoute(ReadRoute):
    """A route that reads records as Kafka Connect writes them with a schema."""

    def __init__(self, route: Route, target: TableTarget, key_format: str = "text") -> None:
        read = FormatOptions(value=Format.CONNECT_JSON, key=KeyFormat(key_format))
        super().__init__(route, target, "coordinates", format=read)


def typed(schema: Any, payload: Any, offset: int = 0, key: bytes | None = None) -> Record:
    """Return a record as JsonConverter writes it."""
    return record(offset, key=key, value=connect_record(schema, payload))
