"""Topics of varied shape, by one sink: `new route`, `check`, `run` and `audit` succeed, and each value is right.

All topics share a sink, so that the commands run once; each shape is one test of what they left.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from inbox.dev.backends import Servers
from tests.integration.sink.formats import registry_shapes as shapes
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import CLIENT, create_topic, unique_name
from tests.support.schemas import registry_client
from tests.support.sink.running import Out, Sink

CLOUD = {"ce_specversion": "1.0", "ce_source": "/shop", "ce_type": "T", "content-type": "application/json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
LONG = "a" * 80
pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Shape:
    """A topic: its events, a query for its rows, and what they are as texts; words of the proposal.

    `events` of formats with schemas are written when a registry is there.
    """

    events: Sequence[Out] | shapes.Write
    query: str
    rows: Sequence[tuple[Any, ...]]
    said: Sequence[str] = field(default=())


def change(op: str, key: int, **rows: Any) -> Out:
    names = {"connector": "postgresql", "db": "d", "schema": "s", "table": "t", "snapshot": "false"}
    source = {**names, "txId": 1, "lsn": 10 * ord(op) + key}
    payload = {"before": None, "after": None, **rows, "op": op, "ts_ms": 1, "source": source}
    return Out(None, payload, key=json.dumps({"id": key}))


def keyed(*values: dict[str, Any], by: str = "id") -> list[Out]:
    return [Out(None, value, key=str(value[by])) for value in values]


def wrapped_change(op: str, key: int, **rows: Any) -> Out:
    """A change with its schema, as Kafka Connect's JsonConverter writes it."""
    fields = [
        {"field": "id", "type": "int64"},
        {"field": "placed", "type": "int64", "name": "io.debezium.time.MicroTimestamp", "optional": True},
        {
            "field": "price",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2"},
            "optional": True,
        },
    ]
    of_row = {"type": "struct", "fields": fields, "optional": True}
    texts = [{"field": name, "type": "string"} for name in ("connector", "db", "schema", "table", "snapshot")]
    numbers = [{"field": name, "type": "int64"} for name in ("txId", "lsn")]
    schema = {
        "type": "struct",
        "fields": [
            {**of_row, "field": "before"},
            {**of_row, "field": "after"},
            {"field": "op", "type": "string"},
            {"field": "ts_ms", "type": "int64"},
            {"field": "source", "type": "struct", "fields": texts + numbers},
        ],
    }
    key_schema = {"type": "struct", "fields": [{"field": "id", "type": "int64"}]}
    event = change(op, key, **rows)
    return Out(
        None,
        {"schema": schema, "payload": event.value},
        key=json.dumps({"schema": key_schema, "payload": {"id": key}}),
    )


ORDER = "SELECT id, day, price, \"inner\"->>'x' FROM {t}"
ORDER_ROW = [("1", "2022-01-08", "9.90", "7")]
MESSAGE = "SELECT id, name, at AT TIME ZONE 'UTC' FROM {t}"
MESSAGE_ROW = [("1", "Ann", "2023-11-14 22:13:20")]
PAYMENT = "SELECT id, at AT TIME ZONE 'UTC', price, tags, pg_typeof(at) FROM {t}"
PAYMENT_ROW = [(str(2**60), "2026-01-01 10:00:00", "1.25", "['a']", "timestamp with time zone")]
UUID = "6f9619ff-8b86-d011-b42d-00c04fc9640"
SHAPES: dict[str, Shape] = {
    "flat": Shape(
        keyed({"id": 1, "name": "Ann", "paid": True}, {"id": 2, "name": "Bob", "paid": False}),
        "SELECT id, name, paid FROM {t} ORDER BY id",
        [("1", "Ann", "True"), ("2", "Bob", "False")],
    ),
    "nested": Shape(
        keyed({"id": 1, "to": {"city": "Ulm", "zip": "01234"}}, {"id": 2, "to": {"city": "Bonn"}}),
        "SELECT \"to\"->>'city', \"to\"->>'zip' FROM {t} ORDER BY id",
        [("Ulm", "01234"), ("Bonn", None)],
    ),
    "arrays": Shape(
        keyed({"id": 1, "tags": ["a", "b"], "lines": []}, {"id": 2, "tags": [], "lines": [{"n": 1.10}]}),
        "SELECT tags::text, lines::text FROM {t} ORDER BY id",
        [('["a", "b"]', "[]"), ("[]", '[{"n": 1.1}]')],
    ),
    "all null": Shape(
        keyed({"id": 1, "n": None}, {"id": 2, "n": None}),
        "SELECT id, n FROM {t} ORDER BY id",
        [("1", None), ("2", None)],
        ["null in each event"],
    ),
    "mixed": Shape(
        keyed({"id": 1, "v": 1}, {"id": 2, "v": "one"}, {"id": 3, "v": {"a": None}}),
        "SELECT v::text FROM {t} ORDER BY id",
        [("1",), ('"one"',), ('{"a": null}',)],
        ["mixed: 1 whole numbers, 1 texts, 1 objects"],
    ),
    "big numbers": Shape(
        keyed({"id": 1, "v": 10**30, "w": -(2**63)}, {"id": 2, "v": 1, "w": 2**63 - 1}),
        "SELECT v, w FROM {t} ORDER BY id",
        [(str(10**30), str(-(2**63))), ("1", str(2**63 - 1))],
    ),
    "decimals in texts": Shape(
        keyed({"id": 1, "amount": "9.90"}, {"id": 2, "amount": "0.10"}),
        "SELECT amount, pg_typeof(amount) FROM {t} ORDER BY id",
        [("9.90", "numeric"), ("0.10", "numeric")],
    ),
    "epochs": Shape(
        keyed(
            {
                "id": 1,
                "created_at": 1_700_000_000,
                "seenAt": 1_700_000_000_123,
                "ts": 1_700_000_000_123_456,
                "birthday": 19_000,
            }
        ),
        "SELECT created_at AT TIME ZONE 'UTC', seen_at AT TIME ZONE 'UTC', ts AT TIME ZONE 'UTC', birthday FROM {t}",
        [("2023-11-14 22:13:20", "2023-11-14 22:13:20.123000", "2023-11-14 22:13:20.123456", "2022-01-08")],
        ["the unit is a guess"],
    ),
    "ISO times": Shape(
        keyed({"id": 1, "at": "2026-01-01T10:00:00+01:00", "local": "2026-01-01T10:00:00", "day": "2026-02-28"}),
        "SELECT at AT TIME ZONE 'UTC', local, day, pg_typeof(local) FROM {t}",
        [("2026-01-01 09:00:00", "2026-01-01 10:00:00", "2026-02-28", "timestamp without time zone")],
    ),
    "UUIDs": Shape(
        keyed({"id": f"{UUID}1", "v": 1}, {"id": f"{UUID}2", "v": 2}),
        "SELECT id, pg_typeof(id), v FROM {t} ORDER BY v",
        [(f"{UUID}1", "uuid", "1"), (f"{UUID}2", "uuid", "2")],
    ),
    "tombstones": Shape(
        [*keyed({"id": 1, "v": 1}, {"id": 2, "v": 2}), Out(None, None, key="1")], "SELECT id, v FROM {t}", [("2", "2")]
    ),
    "changes": Shape(
        [
            change("c", 1, after={"id": 1, "v": "a"}),
            change("c", 2, after={"id": 2, "v": "b"}),
            change("u", 1, before={"id": 1, "v": "a"}, after={"id": 1, "v": "c"}),
            change("d", 2, before={"id": 2, "v": "b"}),
        ],
        "SELECT id, v FROM {t}",
        [("1", "c")],
    ),
    "Connect JSON": Shape(
        [
            Out(
                None,
                {
                    "schema": {
                        "type": "struct",
                        "fields": [
                            {"field": "id", "type": "int64"},
                            {"field": "day", "type": "int32", "name": "org.apache.kafka.connect.data.Date"},
                        ],
                    },
                    "payload": {"id": 1, "day": 19_000},
                },
                key="1",
            )
        ],
        "SELECT id, day FROM {t}",
        [("1", "2022-01-08")],
    ),
    "CloudEvents": Shape(
        [
            Out(None, {"order": 1, "total": 1.50}, headers={**CLOUD, "ce_id": "1"}),
            Out(
                None,
                {"specversion": "1.0", "source": "/shop", "type": "T", "id": "2", "data": {"order": 2, "total": 2}},
                headers=STRUCTURED,
            ),
        ],
        'SELECT "order", total FROM {t} ORDER BY 1',
        [("1", "1.5"), ("2", "2")],
    ),
    "webhooks": Shape(
        [
            Out(None, {"action": "opened", "issue": {"title": "it's"}}, headers={"X-GitHub-Delivery": f"{UUID}{n}"})
            for n in (1, 2)
        ],
        "SELECT action, issue->>'title' FROM {t}",
        [("opened", "it's")] * 2,
        ["header:X-GitHub-Delivery", "no key was found"],
    ),
    "keys of several members": Shape(
        [
            Out(None, {"tenant": "t", "id": n, "v": v}, key=json.dumps({"tenant": "t", "id": n}))
            for n, v in ((1, 1), (2, 2), (1, 3))
        ],
        "SELECT tenant, id, v FROM {t} ORDER BY id",
        [("t", "1", "3"), ("t", "2", "2")],
    ),
    "reserved words": Shape(
        keyed({"user": 1, "order": "x", "select": True, "current_date": 3, "ctid": 4, "a b'\"": 5}, by="user"),
        'SELECT "user", "order", "select", "current_date", ctid_value, "a_b\'""" FROM {t}',
        [("1", "x", "True", "3", "4", "5")],
    ),
    "long names": Shape(
        keyed({"id": 1, LONG: 1, LONG + "b": 2, "Ab": 3, "AB": 4}),
        "SELECT v FROM {t} r, jsonb_each_text(to_jsonb(r)) AS e (k, v) WHERE k <> 'id' ORDER BY v",
        [("1",), ("2",), ("3",), ("4",)],
    ),
    "changes in Connect JSON": Shape(
        [
            wrapped_change("c", 1, after={"id": 1, "placed": 1_700_000_000_123_456, "price": "A94="}),
            wrapped_change("c", 2, after={"id": 2, "placed": None, "price": None}),
            wrapped_change(
                "u",
                1,
                before={"id": 1, "placed": 1_700_000_000_123_456, "price": "A94="},
                after={"id": 1, "placed": 1_700_000_000_123_456, "price": "AfQ="},
            ),
            wrapped_change("d", 2, before={"id": 2, "placed": None, "price": None}),
        ],
        "SELECT id, placed, price FROM {t}",
        [("1", "2023-11-14 22:13:20.123456", "5.00")],
        ['envelope = "debezium"', 'event_id = "debezium"', 'key_format = "connect-json"'],
    ),
    "Avro": Shape(shapes.in_avro, ORDER, ORDER_ROW),
    "Avro by its subject": Shape(
        shapes.in_avro_by_subject,
        "SELECT day, added, pg_typeof(added) FROM {t}",
        [("2022-01-08", None, "timestamp with time zone")],
    ),
    "Avro of a file": Shape(shapes.in_avro_of_a_file, ORDER, ORDER_ROW, ["schema_file = "]),
    "Protobuf": Shape(shapes.in_protobuf, MESSAGE, MESSAGE_ROW),
    "Protobuf by its subject": Shape(shapes.in_protobuf_by_subject, MESSAGE, MESSAGE_ROW),
    "Protobuf of a file": Shape(shapes.in_protobuf_of_a_file, MESSAGE, MESSAGE_ROW, ['message = "shop.Order"']),
    "Protobuf with a oneof": Shape(
        shapes.in_a_oneof,
        "SELECT id, card, cash, voucher, pg_typeof(voucher), state, big, notes FROM {t} ORDER BY id",
        [
            ("1", "4711", None, None, "bytea", "PAID", str(2**64 - 1), "{'a': 'b'}"),
            ("2", None, "0", None, "bytea", "OPEN", "0", "{}"),
        ],
    ),
    "JSON Schema": Shape(shapes.in_json_schema, PAYMENT, PAYMENT_ROW),
    "JSON Schema by its subject": Shape(shapes.in_json_schema_by_subject, PAYMENT, PAYMENT_ROW),
    "JSON Schema of a file": Shape(shapes.in_json_schema_of_a_file, PAYMENT, PAYMENT_ROW),
    "changes in Avro": Shape(
        shapes.changes_in_avro,
        "SELECT id, price, at AT TIME ZONE 'UTC' FROM {t}",
        [("1", "10.00", "2026-01-01 10:00:00.000005")],
        ['envelope = "debezium"', 'event_id = "debezium"', 'key_format = "avro"'],
    ),
    "CloudEvents in Avro": Shape(
        shapes.cloud_events_in_avro, ORDER, ORDER_ROW, ['format = "avro"', 'envelope = "cloudevents"']
    ),
}


def topic_of(sink: Sink, name: str) -> str:
    return f"{sink.topic}_{list(SHAPES).index(name)}"


Taken = tuple[Sink, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def taken(
    servers: Servers, registry_url: str, order_class: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Taken]:
    """All topics, taken by one sink; the proposal of each shape by its name."""
    database = unique_name("shapes")
    url = create_database(servers.database_url, database)
    directory: Path = tmp_path_factory.mktemp(database)
    producer = Producer({**CLIENT, "bootstrap.servers": servers.bootstrap_servers})
    sink = Sink(
        directory, topic=database, database_url=url, bootstrap_servers=servers.bootstrap_servers, producer=producer
    )
    sink.configure("", rest=f'[registry]\nurl = "{registry_url}"')
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda shape: create_topic(servers.bootstrap_servers, topic_of(sink, shape)), SHAPES))
    arguments: dict[str, Sequence[str]] = {}
    with closing(registry_client(registry_url)) as client:
        given = shapes.Producers(client, directory, order_class)
        for name, shape in SHAPES.items():
            topic = topic_of(sink, name)
            events, arguments[name] = shape.events(given, topic) if callable(shape.events) else (shape.events, [])
            sink.send(*(Out(**{**vars(event), "topic": topic}) for event in events))
    yield sink, _take(sink, arguments)
    drop_database(servers.database_url, database)


def _take(sink: Sink, arguments: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for shape in SHAPES:
        command = ["new", "route", "--topic", topic_of(sink, shape), *arguments[shape], "--execute", "--json"]
        with _printed() as out:
            assert sink.command(*command) == 0, (shape, out.getvalue())
        found[shape] = json.loads(out.getvalue())
    for command in (["migrate"], ["check"], ["run", "--until-end"], ["audit"]):
        with _printed() as out:
            assert sink.command(*command) == 0, (command, out.getvalue())
    return found


def _printed() -> redirect_stdout[io.StringIO]:
    return redirect_stdout(io.StringIO())


@pytest.mark.parametrize("shape", SHAPES)
def test_each_value_of_a_topic_is_right(taken: Taken, shape: str) -> None:
    sink, found = taken
    given = SHAPES[shape]
    table = found[shape]["table"]

    parked = "SELECT error FROM inbox.dead_letters JOIN inbox.partitions USING (partition_id) WHERE topic = %s"
    assert sink.sql(parked, [topic_of(sink, shape)]) == []
    rows = sink.sql(given.query.format(t=table))
    assert [tuple(None if value is None else str(value) for value in row) for row in rows] == list(given.rows)
    text = found[shape]["sql"] + found[shape]["route"]
    assert all(words in text for words in given.said), text
