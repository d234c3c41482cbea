"""A table route over `t` whose records come in `connect-json`."""

from typing import Any

from inbox.events import Record
from inbox.reading.options import Envelope, Format, FormatOptions, KeyFormat
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route as SinkRoute
from inbox.store.options import TableMode, TableTarget, Tombstones
from tests.support.records import record
from tests.support.store.table_routes import Route
from tests.unit.reading.formats.connect import record as connect_record

UPSERT = {"mode": TableMode.UPSERT, "key": ("id",), "tombstones": Tombstones.DELETE}


class DecodedRoute:
    """The route `r` of the topic `orders`: it reads records, and writes them to `t`."""

    def __init__(self, route: Route, target: TableTarget, key_format: str = "text") -> None:
        self.route = route
        rule = "debezium" if target.envelope is Envelope.DEBEZIUM else "coordinates"
        sink_route = SinkRoute(
            name="r",
            topics=("orders",),
            target=target,
            event_id=rule,
            envelope=target.envelope,
            format=FormatOptions(value=Format.CONNECT_JSON, key=KeyFormat(key_format)),
        )
        self._decoder = TopicDecoder("orders", None, [sink_route])

    def read(self, *records: Record) -> list[Record]:
        columns = self._decoder.new_columns()
        for each in records:
            self._decoder.add(each, columns.values())
        assert not columns["r"].refused, columns["r"].refused
        return columns["r"].records

    def write(self, *records: Record) -> None:
        self.route.write(*self.read(*records))


def typed(schema: Any, payload: Any, offset: int = 0, key: bytes | None = None) -> Record:
    """Return a record as JsonConverter writes it."""
    return record(offset, key=key, value=connect_record(schema, payload))
