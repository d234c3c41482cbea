"""The parameters of a table route's batch: one array for each input from which columns are built."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple, cast

from inbox.events import Record, last_header, record_milliseconds
from inbox.reading.read_record import ReadRecord
from inbox.store.options import INDEX, ColumnSource, Reading
from inbox.store.postgres import arrays
from inbox.store.tables.columns import Column

_BIGINT = 2**63


class TableEvents(NamedTuple):
    """The columns of one attempt, in the order in which the events apply."""

    ids: Sequence[bytes]
    types: Sequence[str | None]
    records: Sequence[Record]

    def part(self, start: int, stop: int) -> "TableEvents":
        return TableEvents(self.ids[start:stop], self.types[start:stop], self.records[start:stop])

    def only(self, indexes: Sequence[int]) -> "TableEvents":
        return TableEvents(*([column[index] for index in indexes] for column in self))  # type: ignore[arg-type]


class Input(NamedTuple):
    """An array parameter: its name in the statement, its content, and how it is taken from the events and sent."""

    name: LiteralString
    kind: str
    values: Callable[[TableEvents], Sequence[Any]]
    pack: Callable[[Sequence[Any]], arrays.PackedArray]

    def read(self, events: TableEvents) -> arrays.PackedArray:
        return self.pack(self.values(events))


def inputs_of(columns: Iterable[tuple[Column, ColumnSource]]) -> list[Input]:
    """Return the inputs of all sources that are neither JSON pointers nor constants, each once."""
    found = (input_of(column, source) or document_of(source) for column, source in columns)
    return list({each.name: each for each in found if each is not None}.values())


def document_of(source: ColumnSource) -> Input | None:
    """Return the input that holds the document of a pointer; None for the value, which is sent by itself."""
    return _DOCUMENT_TEXTS.get(source.document or "")


def input_of(column: Column, source: ColumnSource) -> Input | None:
    """Return the input of a source; None where it has none of its own, as a part of a document has none."""
    if source.source in (None, INDEX) or source.pointer is not None:
        return None
    return _input(source.source or "", binary=column.base.name == "bytea" and source.reading in (None, Reading.TEXT))


def _input(source: str, *, binary: bool) -> Input:
    if source.startswith("$header:"):
        return _header(source.removeprefix("$header:"), binary=binary)
    if source.startswith("$ce:"):
        return _attribute(source, binary=binary)
    if source == "$value":
        return _of_bytes("value", (lambda record: record.value()) if binary else _text_of_value, binary=binary)
    if source == "$key":
        return _of_bytes("key", lambda record: record.key(), binary=binary)
    return _PLAIN[source]


def _text_of_value(record: Record) -> bytes | None:
    """Return the value as a text: without the schema id that is before JSON, and perhaps without NUL."""
    if isinstance(record, ReadRecord) and record.text is not None:
        return record.text
    return record.value()


def _header(name: str, *, binary: bool) -> Input:
    # Hexadecimal, because a header's name may contain any character and a parameter's name may not.
    parameter = cast(LiteralString, f"header_{name.encode().hex()}")
    return _of_bytes(parameter, lambda record: last_header(record.headers() or (), name), binary=binary)


def _attribute(source: str, *, binary: bool) -> Input:
    parameter = cast(LiteralString, f"attribute_{source.encode().hex()}")
    return _of_bytes(parameter, lambda record: _encoded(_about(record).get(source)), binary=binary)


def _about(record: Record) -> Mapping[str, Any]:
    """Return what the envelope says beside the row."""
    return record.about or {} if isinstance(record, ReadRecord) else {}


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _milliseconds(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BIGINT else None


def is_text(value: bytes | None) -> bool:
    """Return whether PostgreSQL takes the value as text; one that it refuses fails the whole statement."""
    if value is None:
        return True
    try:
        return "\x00" not in value.decode()
    except UnicodeDecodeError:
        return False


@lru_cache(maxsize=4)
def counted(count: int) -> arrays.Int4s:
    """Return the numbers from 0; cached, because most parts need the same."""
    return arrays.int4s(range(count))


@lru_cache(maxsize=4)
def zeros(count: int) -> arrays.Int4s:
    """Return so many zeros; cached too."""
    return arrays.int4s([0] * count)


@lru_cache(maxsize=4)
def nulls(count: int) -> arrays.Texts:
    """Return so many texts that are NULL; cached too."""
    return arrays.texts([None] * count)


def _of_bytes(name: LiteralString, read: Callable[[Record], bytes | None], *, binary: bool) -> Input:
    kind = "bytea" if binary else "text"
    pack = arrays.byteas if binary else arrays.texts
    return Input(name + "_" + kind, kind, lambda events: [read(record) for record in events.records], pack)


_PLAIN: dict[str, Input] = {
    "$topic": Input("topic", "text", lambda e: [r.topic().encode() for r in e.records], arrays.texts),
    "$partition": Input("partition", "integer", lambda e: [r.partition() for r in e.records], arrays.int4s),
    "$offset": Input("kafka_offset", "bigint", lambda e: [r.offset() for r in e.records], arrays.int8s),
    "$timestamp": Input(
        "timestamp", "milliseconds", lambda e: [record_milliseconds(r) for r in e.records], arrays.int8s
    ),
    "$op": Input("op", "text", lambda e: [_encoded(_about(r).get("$op")) for r in e.records], arrays.texts),
    "$ts": Input(
        "ts", "milliseconds", lambda e: [_milliseconds(_about(r).get("$ts")) for r in e.records], arrays.int8s
    ),
    "$event_id": Input("event_id", "uuid", lambda e: e.ids, arrays.uuids),
    "$type": Input("type", "text", lambda e: [None if t is None else t.encode() for t in e.types], arrays.texts),
}
_CHANGE_TEXT = _of_bytes(
    "change", lambda record: record.document if isinstance(record, ReadRecord) else None, binary=False
)
_DOCUMENT_TEXTS = {"$key": _input("$key", binary=False), "$before": _CHANGE_TEXT, "$source": _CHANGE_TEXT}
