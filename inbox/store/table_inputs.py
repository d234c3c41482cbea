"""What goes to the server with a batch of a table route: one array for each thing that a column is made of."""

from collections.abc import Callable, Iterable, Sequence
from typing import LiteralString, NamedTuple, cast

from inbox.events import Record, last_header
from inbox.store import arrays
from inbox.store.table_columns import Column

_NO_TIMESTAMP = 0


class TableEvents(NamedTuple):
    """Columns of one attempt, in the order in which the events apply."""

    ids: Sequence[bytes]
    types: Sequence[str | None]
    records: Sequence[Record]

    def part(self, start: int, stop: int) -> "TableEvents":
        return TableEvents(self.ids[start:stop], self.types[start:stop], self.records[start:stop])


class Input(NamedTuple):
    """One array parameter: its name in the statement, what it holds, and how it is read from the events."""

    name: LiteralString
    kind: str
    read: Callable[[TableEvents], arrays.PackedArray]


def inputs_of(columns: Iterable[tuple[Column, str]]) -> list[Input]:
    """The inputs of all sources that are no JSON pointers, each once."""
    found = [input_of(column, source) for column, source in columns if not source.startswith("/")]
    return list({each.name: each for each in found}.values())


def input_of(column: Column, source: str) -> Input:
    binary = column.type_name == "bytea"
    if source.startswith("$header:"):
        return _header(source.removeprefix("$header:"), binary=binary)
    if source == "$value":
        return _of_bytes("value", lambda record: record.value(), binary=binary)
    if source == "$key":
        return _of_bytes("key", lambda record: record.key(), binary=binary)
    return _PLAIN[source]


def _header(name: str, *, binary: bool) -> Input:
    # Hexadecimal, since a header's name may hold anything and a parameter's may not.
    parameter = cast(LiteralString, f"header_{name.encode().hex()}")
    return _of_bytes(parameter, lambda record: last_header(record.headers() or (), name), binary=binary)


def _of_bytes(name: LiteralString, read: Callable[[Record], bytes | None], *, binary: bool) -> Input:
    pack = arrays.byteas if binary else arrays.texts
    kind = "bytea" if binary else "text"
    return Input(name + "_" + kind, kind, lambda events: pack([read(record) for record in events.records]))


def _milliseconds(record: Record) -> int | None:
    kind, milliseconds = record.timestamp()
    return None if kind == _NO_TIMESTAMP else milliseconds


_PLAIN: dict[str, Input] = {
    "$topic": Input("topic", "text", lambda e: arrays.texts([r.topic().encode() for r in e.records])),
    "$partition": Input("partition", "integer", lambda e: arrays.int4s([r.partition() for r in e.records])),
    "$offset": Input("kafka_offset", "bigint", lambda e: arrays.int8s([r.offset() for r in e.records])),
    "$timestamp": Input("timestamp", "milliseconds", lambda e: arrays.int8s([_milliseconds(r) for r in e.records])),
    "$event_id": Input("event_id", "uuid", lambda e: arrays.uuids(e.ids)),
    "$type": Input("type", "text", lambda e: arrays.texts([t.encode() if t is not None else None for t in e.types])),
}
