"""A table route over `t` whose records are read before they are written."""

from typing import Any

from inbox.events import Record
from inbox.reading.options import Envelope
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route as SinkRoute
from inbox.store.options import TableTarget
from tests.support.store.table_routes import Route


class ReadRoute:
    """The route `r` of the topic `orders`: it reads records, and writes them to `t`.

    `event_id` is the rule for the ids outside of Debezium's envelope; `options` are those of the sink's route.
    """

    def __init__(self, route: Route, target: TableTarget, event_id: str, **options: Any) -> None:
        self.route = route
        rule = "debezium" if target.envelope is Envelope.DEBEZIUM else event_id
        sink_route = SinkRoute(
            name="r", topics=("orders",), target=target, event_id=rule, envelope=target.envelope, **options
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
