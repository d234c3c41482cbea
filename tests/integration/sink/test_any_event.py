"""Whatever a stranger's topic holds ends, and ends no worker: each event is applied or parked, on each route."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from inbox.errors import EventError
from inbox.events import Event
from inbox.handlers import Transaction
from tests.support.kafka_topics import create_topic
from tests.support.sink.running import Sink

ROUTES = """
[[routes]]
name = "table"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.rows"
mode = "append"
[routes.table.columns]
number = "/number"
amount = "/amount"
ratio = "/ratio"
flag = "/flag"
at = "/at"
day = "/day"
note = "/note"
part = "/part"
id = "/id"
document = "$value"
key = "$key"
kind = "$header:kind"
sent_at = "$timestamp"
"offset" = "$offset"

[[routes]]
name = "upserts"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.states"
mode = "upsert"
key = ["id"]
tombstones = "delete"
[routes.table.columns]
id = "/id"
note = "/note"

[[routes]]
name = "by-value"
topic = "TOPIC"
event_id = "value:/id"
event_type = "value:/note"
handler = "handler"
"""
TABLES = (
    "CREATE TABLE rows (number integer, amount numeric(10, 2), ratio double precision, flag boolean, at timestamptz,"
    " day date, note varchar(10), part jsonb, id uuid, document text, key text, kind text, sent_at timestamptz,"
    ' "offset" bigint)',
    "CREATE TABLE states (id text PRIMARY KEY, note text)",
    "CREATE TABLE effects (position bigint GENERATED ALWAYS AS IDENTITY, id uuid, type text, document text)",
)

EVENTS = 400

texts = st.text(max_size=12) | st.sampled_from(
    ["now", "infinity", "NaN", "a\0b", "\udcff", "2026-01-31T06:00:00Z", "é" * 20]
)
numbers = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, 2**64, 10**400, -0.0])
documents = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = ("number", "amount", "ratio", "flag", "at", "day", "note", "part", "id")
rows = st.fixed_dictionaries({}, optional=dict.fromkeys(names, documents))


def as_json(value: Any) -> bytes:
    """As a careless producer writes it: NaN, lone surrogates and duplicate members of objects as they come."""
    if isinstance(value, dict):
        return b"{" + b", ".join(as_json(name) + b": " + as_json(each) for name, each in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b", ".join(map(as_json, value)) + b"]"
    if isinstance(value, str):
        escaped = "".join(f"\\u{ord(each):04x}" if ord(each) < 32 or each in '"\\' else each for each in value)
        return b'"' + escaped.encode(errors="surrogatepass") + b'"'
    return {None: b"null", True: b"true", False: b"false"}.get(value, repr(value).encode())


raw = st.binary(max_size=30)
values = (
    st.none()
    | raw
    | documents.map(as_json)
    | rows.map(as_json)
    | st.sampled_from(
        [
            b"",
            b"[" * 5000,
            b'{"a":' * 3000 + b"1" + b"}" * 3000,
            b'{"id": 1, "id": 2}',
            b'{"note": "' + b"x" * 70_000 + b'"}',
        ]
    )
)
keys = (
    st.none()
    | raw
    | texts.map(lambda text: text.encode(errors="surrogatepass"))
    | st.sampled_from([b"", b"k", b"k" * 3000, b'{"id": "1"}', b'{"id": {}}', b'"1"', b"[]"])
)
headers = st.lists(
    st.tuples(st.text(max_size=8).filter(lambda n: "\0" not in n and n.isprintable()), st.none() | raw), max_size=4
) | st.just([("", b"")] * 300)
timestamps = st.sampled_from(
    [0, 1, 1_700_000_000_000, 1_700_000_000_000_000, 253_402_300_799_999, 253_402_300_800_000, 2**62]
)
events = st.tuples(values, keys, headers, timestamps)


def note(event: Event, tx: Transaction) -> None:
    """Decode and write whatever it is, as a handler does that was written for well-formed events."""
    document = event.json()
    if document == []:
        raise EventError("empty")
    tx.execute(
        "INSERT INTO effects (id, type, document) VALUES (%s, %s, %s)",
        (event.id, event.type, (event.value or b"").decode()),
    )


@pytest.fixture
def stranger(
    make_sink: Callable[..., Sink], offer: Callable[..., None], bootstrap_servers: str
) -> Callable[[str], Sink]:
    """A sink with three routes over a topic that takes any timestamp."""

    def make(order: str) -> Sink:
        offer(handler=note)
        sink = make_sink()
        sink.topic = create_topic(bootstrap_servers, message_timestamp_after_max_ms=2**63 - 1)
        failures = f'[failures]\nattempts = 1\nhalt_above = 1000000\norder = "{order}"'
        sink.configure(ROUTES, sink='largest_event = "60 KiB"', rest=failures)
        for table in TABLES:
            sink.sql(table)
        return sink

    return make


def produce(producer: Producer, topic: str, batch: list[tuple[Any, ...]]) -> int:
    """Store the events; how many the broker took."""
    refused: list[Any] = []
    for value, key, its_headers, timestamp in batch:
        producer.produce(
            topic,
            value,
            key,
            headers=its_headers,
            timestamp=timestamp,
            on_delivery=lambda error, _: refused.append(error) if error else None,
        )
    assert producer.flush(120) == 0
    assert not refused
    return len(batch)


def drawn(count: int) -> list[tuple[Any, ...]]:
    """So many different events: generated one by one, since a run of the sink for each would take all day."""
    batch: list[tuple[Any, ...]] = []

    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate])
    @given(event=events)
    def draw(event: tuple[Any, ...]) -> None:
        batch.append(event)

    draw()
    return batch


@pytest.mark.parametrize("order", ["key", "none"])
def test_every_event_is_applied_or_parked_on_every_route(
    stranger: Callable[[str], Sink], make_producer: Callable[..., Producer], order: str
) -> None:
    sink = stranger(order)
    sent = produce(make_producer(linger_ms=50), sink.topic, drawn(EVENTS))
    sink.run()
    assert sink.next_offsets() == {0: sent}
    assert sum(sink.endings().values()) == 3 * sent
    [(applied, letters)] = sink.sql(
        "SELECT (SELECT count(*) FROM rows), (SELECT count(*) FROM inbox.dead_letters AS d JOIN inbox.routes AS r "
        "USING (route_id) WHERE r.name = 'table')"
    )
    assert applied + letters == sent
    assert applied
    assert sink.command("audit") == 0
