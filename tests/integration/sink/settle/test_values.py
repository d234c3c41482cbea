"""An event's values reach the table as they are, end to end."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from inbox.sink.event_id import as_id, namespace_of
from tests.support.kafka_topics import idempotent_producer
from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
name = "table"
topic = "TOPIC"
event_id = "value:/id"
[routes.table]
name = "public.Facts"
mode = "append"
[routes.table.columns]
id = "/id"
event_id = "$event_id"
at = "/at"
stamped = "$timestamp"
milliseconds = "$timestamp"
"""


@pytest.fixture(name="values")
def values_(sink: Sink) -> Sink:
    """A sink with a route into `"Facts"`, beside which stands `facts` with other types."""
    sink.sql("CREATE TABLE facts (id uuid, event_id text, at text, stamped text, milliseconds text)")
    sink.sql('CREATE TABLE "Facts" (id text, event_id uuid, at timestamptz, stamped timestamptz, milliseconds bigint)')
    sink.configure(ROUTE)
    return sink


def rows(sink: Sink, columns: str) -> Sequence[tuple[Any, ...]]:
    return sink.sql(f'SELECT {columns} FROM "Facts" ORDER BY id')  # noqa: S608


def test_an_id_beyond_64_bits_is_the_one_that_the_column_holds(values: Sink) -> None:
    values.send(Out(None, b'{"id": 18446744073709551616, "rest": 1e400}'))
    values.run()

    expected = UUID(bytes=as_id("18446744073709551616", namespace_of(values.topic)))
    assert rows(values, "id, event_id") == [("18446744073709551616", expected)]
    assert values.dead_letters() == []


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "alone"])
def test_a_word_for_the_clock_is_parked_alone(values: Sink, together: bool) -> None:
    good = [Out(None, {"id": "a", "at": "2026-01-31T10:00:00Z"}, key="a"), Out(None, {"id": "c"}, key="c")]
    values.send(*(good if together else []), Out(None, {"id": "b", "at": "today 10:00"}, key="b"))
    values.run()

    assert [row[0] for row in rows(values, "id")] == (["a", "c"] if together else [])
    [error] = values.dead_letter_errors()
    assert error.startswith('column "at" from /at: a word for a time (now, today, tomorrow, yesterday or allballs)')


def test_a_record_whose_timestamp_is_minus_one_in_kafka_has_none(values: Sink) -> None:
    producer, refused = idempotent_producer(values.bootstrap_servers), []
    for number, milliseconds in enumerate((-1, 1_767_225_600_123)):
        producer.produce(
            values.topic,
            json.dumps({"id": str(number)}),
            partition=0,
            timestamp=milliseconds,
            on_delivery=lambda error, _: refused.append(error) if error else None,
        )
    assert producer.flush(120) == 0
    assert refused == []
    values.run()

    assert rows(values, "id, (stamped AT TIME ZONE 'UTC')::text, milliseconds") == [
        ("0", None, None),
        ("1", "2026-01-01 00:00:00.123", 1_767_225_600_123),
    ]
