"""By what the format and the envelope of a topic are recognised."""

import json
from typing import Any

import pytest

from inbox.errors import StartupError
from inbox.events import Record
from inbox.operations.samples.shape import Shape, shape_of
from inbox.reading.options import Envelope, Format, KeyFormat
from inbox.reading.schemas import SchemaId, SchemaKind
from tests.support.records import record

CHANGE = {"op": "c", "before": None, "after": {"id": 1}, "source": {}}


def kind_of(schema_id: SchemaId) -> SchemaKind | None:
    return {1: SchemaKind.AVRO, 2: SchemaKind.PROTOBUF, 3: SchemaKind.JSON}.get(schema_id)  # type: ignore[call-overload,no-any-return]


def of(value: Any, **more: Any) -> Record:
    return record(value=value if isinstance(value, bytes | None) else json.dumps(value).encode(), **more)


def framed(schema_id: int) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + b"\x02"


def found(*records: Record) -> Shape:
    return shape_of("orders", records, kind_of)


@pytest.mark.parametrize(
    ("given", "format_", "envelope", "keys"),
    [
        (of({"a": 1}), Format.JSON, Envelope.NONE, KeyFormat.TEXT),
        (of({"schema": {}, "payload": {}}), Format.CONNECT_JSON, Envelope.NONE, KeyFormat.TEXT),
        (of(CHANGE), Format.JSON, Envelope.DEBEZIUM, KeyFormat.TEXT),
        (
            of({"schema": {}, "payload": CHANGE}, key=b'{"schema": {}, "payload": {}}'),
            Format.CONNECT_JSON,
            Envelope.DEBEZIUM,
            KeyFormat.CONNECT_JSON,
        ),
        (
            of({}, headers=[("ce_id", b"1"), ("ce_specversion", b"1.0")]),
            Format.JSON,
            Envelope.CLOUDEVENTS,
            KeyFormat.TEXT,
        ),
        (
            of({}, headers=[("content-type", b"application/cloudevents+json")]),
            Format.JSON,
            Envelope.CLOUDEVENTS,
            KeyFormat.TEXT,
        ),
        (of(framed(1)), Format.AVRO, Envelope.NONE, KeyFormat.TEXT),
        (of(framed(1), key=framed(1)), Format.AVRO, Envelope.NONE, KeyFormat.AVRO),
        (of(framed(2)), Format.PROTOBUF, Envelope.NONE, KeyFormat.TEXT),
        (of(framed(3)), Format.JSON_SCHEMA, Envelope.NONE, KeyFormat.TEXT),
    ],
)
def test_a_shape_is_recognised(given: Record, format_: Format, envelope: Envelope, keys: KeyFormat) -> None:
    shape = found(given, of(None))

    assert (shape.format, shape.envelope, shape.key_format) == (format_, envelope, keys)
    assert shape.why


def test_the_majority_decides() -> None:
    assert found(of(b"broken"), of({"a": 1}), of({"a": 2})).format is Format.JSON


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "has no records"),
        ([of(None)], "each is a tombstone"),
        ([of(b"\xff\xfe")], "1 of 1 values are not JSON"),
        ([of(framed(9))], "which no \\[registry\\] of the configuration knows"),
        ([of([1, 2])], "not JSON objects"),
    ],
)
def test_what_no_route_reads_is_refused(given: list[Record], said: str) -> None:
    with pytest.raises(StartupError, match=said):
        found(*given)
