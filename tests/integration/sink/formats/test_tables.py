"""Table routes with a schema: every type read back from its column, as Confluent's serializers wrote it."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

from inbox.errors import StartupError
from tests.integration.sink.formats.conftest import Serialize, sent
from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
topic = "TOPIC"
format = "{format}"
{more}
[routes.table]
name = "public.orders"
mode = "{mode}"
{key}
[routes.table.columns]
{columns}
"""


@pytest.fixture
def table(sink: Sink, registry_url: str) -> Callable[..., None]:
    """Makes the table and the route: `table("avro", id="int", amount="numeric")`.

    A column has its own pointer; one whose name begins with `whole` has the whole value.
    """

    def make(format_: str, mode: str = "append", key: str = "", more: str = "", **columns: str) -> None:
        sources = {name: "$value" if name.startswith("whole") else f"/{name}" for name in columns}
        lines = "\n".join(f'{name} = "{source}"' for name, source in sources.items())
        keys = f'key = ["{key}"]' if key else ""
        route = ROUTE.format(format=format_, more=more, mode=mode, key=keys, columns=lines)
        sink.configure(route, rest=f'[registry]\nurl = "{registry_url}"')
        types = ", ".join(f"{name} {kind}{' PRIMARY KEY' if name == key else ''}" for name, kind in columns.items())
        sink.sql(f"CREATE TABLE orders ({types})")

    return make


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def record(**fields: Any) -> str:
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"type": "record", "name": "Order", "fields": listed})


AVRO_TYPES: list[tuple[Any, Any, str, Any]] = [
    ("int", -(2**31), "integer", -(2**31)),
    ("long", 2**63 - 1, "bigint", 2**63 - 1),
    ("long", 2**63 - 1, "numeric", Decimal(2**63 - 1)),
    ("float", 0.5, "real", 0.5),
    ("double", 0.1, "double precision", 0.1),
    ("boolean", True, "boolean", True),
    ("string", "Grüße", "text", "Grüße"),
    ("bytes", b"\x00\xff", "bytea", b"\x00\xff"),
    (["null", "string"], None, "text", None),
    ({"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "B", "text", "B"),
    (logical("bytes", "decimal", precision=30, scale=4), Decimal("12345678901234567890.1234"), "numeric", None),
    (logical("int", "date"), date(2024, 1, 27), "date", None),
    (logical("int", "time-millis"), time(1, 2, 3, 4000), "time", None),
    (logical("long", "time-micros"), time(1, 2, 3, 4), "time", None),
    (logical("long", "timestamp-millis"), datetime(2024, 1, 27, 1, 2, 3, 4000, UTC), "timestamptz", None),
    (logical("long", "timestamp-micros"), datetime(2024, 1, 27, 1, 2, 3, 4, UTC), "timestamptz", None),
    (logical("long", "local-timestamp-micros"), datetime(2024, 1, 27, 1, 2, 3, 4), "timestamp", None),
    (logical("string", "uuid"), str(UUID(int=7)), "uuid", UUID(int=7)),
    ({"type": "array", "items": "int"}, [1, 2], "jsonb", [1, 2]),
    ({"type": "map", "values": "string"}, {"a": "b"}, "jsonb", {"a": "b"}),
]


def test_each_type_of_avro_is_read_back_from_its_column(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    names = [f"c{number}" for number in range(len(AVRO_TYPES))]
    table("avro", **{name: column for name, (_, _, column, _) in zip(names, AVRO_TYPES, strict=True)})
    schema = record(**{name: kind for name, (kind, _, _, _) in zip(names, AVRO_TYPES, strict=True)})
    sent(sink, avro_of(schema)({name: value for name, (_, value, _, _) in zip(names, AVRO_TYPES, strict=True)}))
    sink.run()
    assert sink.dead_letter_errors() == []
    [row] = sink.sql("SELECT * FROM orders")
    expected = [value if other is None else other for _, value, _, other in AVRO_TYPES]
    assert list(row) == expected


def test_not_a_number_and_infinity_reach_a_column(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    table("avro", a="double precision", b="numeric")
    sent(sink, avro_of(record(a="double", b="double"))({"a": float("inf"), "b": float("nan")}))
    sink.run()
    assert sink.sql("SELECT a::text, b::text FROM orders") == [("Infinity", "NaN")]


def test_a_schema_changes_in_mid_partition(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize], client: SchemaRegistryClient
) -> None:
    table("avro", id="int", name="text")
    client.set_compatibility(f"{sink.topic}-value", "NONE")
    sent(
        sink,
        avro_of(record(id="int"))({"id": 1}),
        avro_of(record(id="int", name=["null", "string"]))({"id": 2, "name": "x"}),
        avro_of(record(id=["int", "string"], name="string"))({"id": "3", "name": "y"}),
    )
    sink.run()
    assert sink.sql("SELECT * FROM orders ORDER BY id") == [(1, None), (2, "x"), (3, "y")]


def test_a_recursive_type_and_references_become_documents(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[Any], Serialize], client: SchemaRegistryClient
) -> None:
    table("avro", node="jsonb")
    subject = f"{sink.topic}-node"
    node = {"type": "record", "name": "tree.Node", "fields": [{"name": "next", "type": ["null", "tree.Node"]}]}
    client.register_schema(subject, Schema(json.dumps(node), "AVRO"))
    schema = Schema(record(node="tree.Node"), "AVRO", [SchemaReference("tree.Node", subject, 1)])
    sent(sink, avro_of(schema)({"node": {"next": {"next": None}}}))
    sink.run()
    assert sink.column("SELECT node FROM orders") == [{"next": {"next": None}}]


def test_a_whole_value_in_avro_is_bytes_or_json_by_its_column(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    table("avro", id="int", whole_b="jsonb", whole_j="json", whole_bytes="bytea")
    serialize = avro_of(record(id="int", amount=logical("bytes", "decimal", precision=30, scale=2), ratio="double"))
    value = serialize({"id": 1, "amount": Decimal("12345678901234567890.10"), "ratio": float("nan")})
    sent(sink, value)
    sink.run()
    assert sink.dead_letter_errors() == []
    text = '{"id":1,"amount":12345678901234567890.10,"ratio":"NaN"}'
    assert sink.sql("SELECT whole_b = whole_j::jsonb, whole_j::text, whole_bytes FROM orders") == [(True, text, value)]


def test_a_whole_value_that_json_cannot_express_is_a_dead_letter_alone(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    table("avro", id="int", whole="jsonb")
    serialize = avro_of(record(id="int", name="string"))
    sent(sink, serialize({"id": 1, "name": "a\0"}), serialize({"id": 2, "name": "b"}))
    sink.run()
    assert sink.column("SELECT id FROM orders") == [2]
    assert "a text in it holds NUL" in sink.dead_letter_errors()[0]


def test_a_whole_value_in_protobuf_is_json(
    sink: Sink, table: Callable[..., None], protobuf_of: Callable[[Any], Serialize], order_class: Any
) -> None:
    table("protobuf", whole="jsonb")
    sent(sink, protobuf_of(order_class)(order_class(id=2**63 - 1, name="x")))
    sink.run()
    assert sink.column("SELECT whole ->> 'id' FROM orders") == [str(2**63 - 1)]


def test_a_text_column_of_a_whole_value_in_avro_is_refused_at_the_start(sink: Sink, table: Callable[..., None]) -> None:
    table("avro", whole="text")
    with pytest.raises(StartupError, match="make the column bytea, json or jsonb"):
        sink.run()


def test_a_whole_value_with_a_json_schema_has_no_schema_id(
    sink: Sink, table: Callable[..., None], json_of: Callable[[str], Serialize]
) -> None:
    table("json-schema", id="int", whole="text", whole_j="json", whole_b="jsonb")
    schema = json.dumps({"title": "Order", "type": "object", "properties": {"id": {"type": "integer"}}})
    sent(sink, json_of(schema)({"id": 1}))
    sink.run()
    assert sink.dead_letter_errors() == []
    assert sink.sql("SELECT whole::jsonb = whole_b AND whole_j::jsonb = whole_b, whole_b FROM orders") == [
        (True, {"id": 1})
    ]


def test_an_upsert_and_its_tombstone(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    table("avro", mode="upsert", key="id", id="int", name="text", more='event_id = "header:event_id"')
    serialize = avro_of(record(id="int", name="string"))
    sent(sink, serialize({"id": 1, "name": "a"}), serialize({"id": 1, "name": "b"}), serialize({"id": 2, "name": "c"}))
    sink.run()
    assert sink.sql("SELECT * FROM orders ORDER BY id") == [(1, "b"), (2, "c")]


def test_the_id_may_be_in_the_decoded_value(
    sink: Sink, table: Callable[..., None], avro_of: Callable[[str], Serialize]
) -> None:
    table("avro", more='event_id = "value:/uuid"', uuid="uuid")
    serialize = avro_of(record(uuid=logical("string", "uuid")))
    sink.send(*(Out(None, serialize({"uuid": str(UUID(int=number))})) for number in (5, 5, 6)))
    sink.run()
    assert sink.column("SELECT uuid FROM orders ORDER BY 1") == [UUID(int=5), UUID(int=6)]
    assert sink.endings() == {"applied": 2, "duplicate": 1}


def test_protobuf_is_read_back_from_its_columns(
    sink: Sink, table: Callable[..., None], protobuf_of: Callable[[Any], Serialize], order_class: Any
) -> None:
    table("protobuf", id="bigint", name="text", tags="jsonb", at="timestamptz")
    message = order_class(id=2**63 - 1, name="x", tags=["a"])
    message.at.seconds, message.at.nanos = 1, 123_456_789
    serialize = protobuf_of(order_class)
    sent(sink, serialize(message), serialize(order_class()))
    sink.run()
    at = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) + timedelta(microseconds=123_456)
    assert sink.sql("SELECT * FROM orders ORDER BY id DESC") == [(2**63 - 1, "x", ["a"], at), (0, "", [], None)]


def test_json_with_a_schema_keeps_every_digit(
    sink: Sink, table: Callable[..., None], json_of: Callable[[str], Serialize]
) -> None:
    table("json-schema", more="validate = true", id="numeric")
    schema = json.dumps({"title": "Order", "type": "object", "properties": {"id": {"type": "integer"}}})
    serialize = json_of(schema)
    sent(sink, serialize({"id": 2**60}))
    frame = serialize({"id": 1})[:5]
    sink.send(Out(9, frame + b'{"id": "4711"}'))
    sink.run()
    assert sink.column("SELECT id FROM orders") == [Decimal(2**60)]
    [error] = sink.dead_letter_errors()
    assert 'rule "type"' in error
    assert "4711" not in error
