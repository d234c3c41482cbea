"""What decoded rows cost beside JSON text that PostgreSQL decodes: the same orders, into the same table.

The client's parts are timed by this thread's CPU, from the record to the arrays that are sent; the server's by
the CPU of the backend, in transactions of a batch, on a table that begins empty. Kafka, claims and the ledger
cost the same for both and are not in the figures.
"""

import argparse
import gc
import json
import statistics
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from pydantic import SecretStr

from inbox.dev.backends import servers
from inbox.events import KeptRecord, Record
from inbox.reading.options import PLAIN_JSON, Envelope, Format, FormatOptions
from inbox.reading.schemas import Reference, SchemaId, SchemaKind, WrittenSchema
from inbox.relay.formats.avro.writer import compile_avro
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route
from inbox.store.options import ColumnSource, DatabaseOptions, Reading, TableMode, TableTarget
from inbox.store.postgres.connection import Connection, connect
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.writer import TableWriter
from tests.benchmarks.parts import _of_backend, _timed
from tests.benchmarks.throughput import database

PART, PER_TRANSACTION = 1000, 5

TABLE = """
CREATE TABLE public.orders (
    order_id bigint PRIMARY KEY, customer text, amount numeric, quantity integer, paid boolean,
    weight double precision, day date, placed_at timestamp, updated_at timestamptz, note text
)
"""
EMPTY = ["DROP TABLE IF EXISTS public.orders", TABLE, "CHECKPOINT"]
START = datetime(2026, 1, 1, tzinfo=UTC)


def _field(name: str, kind: str, logical: str | None = None, **parameters: str) -> dict[str, Any]:
    named = {} if logical is None else {"name": logical, "version": 1}
    return {
        "type": kind,
        "optional": True,
        **named,
        **({"parameters": parameters} if parameters else {}),
        "field": name,
    }


SCHEMA = {
    "type": "struct",
    "fields": [
        _field("order_id", "int64"),
        _field("customer", "string"),
        _field("amount", "bytes", "org.apache.kafka.connect.data.Decimal", scale="2"),
        _field("quantity", "int32"),
        _field("paid", "boolean"),
        _field("weight", "double"),
        _field("day", "int32", "io.debezium.time.Date"),
        _field("placed_at", "int64", "io.debezium.time.MicroTimestamp"),
        _field("updated_at", "string", "io.debezium.time.ZonedTimestamp"),
        _field("note", "string"),
    ],
    "optional": False,
    "name": "shop.public.orders.Value",
}
COLUMNS = [field["field"] for field in SCHEMA["fields"]]  # type: ignore[attr-defined]
PREFIX = f'{{"schema":{json.dumps(SCHEMA, separators=(",", ":"))},"payload":'.encode()


def _order(number: int) -> dict[str, Any]:
    at = START + timedelta(microseconds=number * 1_000_003)
    return {
        "order_id": number,
        "customer": f"customer {number % 9973}",
        "amount": (number % 100_000) * 100 + 50,
        "quantity": number % 7,
        "paid": number % 2 == 0,
        "weight": number * 0.37,
        "day": at,
        "placed_at": at,
        "updated_at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
        "note": "x" * 100,
    }


def in_texts(number: int) -> bytes:
    """Return an order as a producer of JSON writes it: times in ISO 8601, the amount as a text."""
    order, at = _order(number), START + timedelta(microseconds=number * 1_000_003)
    said = {"amount": f"{order['amount'] / 100:.2f}", "day": f"{at:%Y-%m-%d}", "placed_at": order["updated_at"]}
    return json.dumps({**order, **said}, separators=(",", ":")).encode()


def in_numbers(number: int) -> bytes:
    """Return an order as JsonConverter writes it: times as numbers, the amount as unscaled bytes."""
    order, at = _order(number), START + timedelta(microseconds=number * 1_000_003)
    said = {
        "amount": b64encode(order["amount"].to_bytes(5, "big", signed=True)).decode(),
        "day": (at - datetime(1970, 1, 1, tzinfo=UTC)).days,
        "placed_at": (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
    }
    return json.dumps({**order, **said}, separators=(",", ":")).encode()


def with_schema(number: int) -> bytes:
    return PREFIX + in_numbers(number) + b"}"


def in_a_change(number: int) -> bytes:
    """Return an order as Debezium sends its update, with REPLICA IDENTITY DEFAULT."""
    source = (
        b'{"version":"3.3.1.Final","connector":"postgresql","name":"shop","ts_ms":1767225600000,"snapshot":"false",'
        b'"db":"shop","sequence":"[\\"24023128\\",\\"24023128\\"]","ts_us":1767225600000000,'
        b'"ts_ns":1767225600000000000,"schema":"public","table":"orders","txId":555,"lsn":%d,"xmin":null}' % number
    )
    return b'{"before":null,"after":%s,"source":%s,"transaction":null,"op":"u","ts_ms":1767225600001}' % (
        in_texts(number),
        source,
    )


AT = (1, 1_767_225_600_000)
"""The timestamp of all records."""

BARE = {name: ColumnSource(f"/{name}") for name in COLUMNS}
UNITS = {
    **BARE,
    "amount": ColumnSource("/amount", reading=Reading.DECIMAL_BYTES, scale=2),
    "day": ColumnSource("/day", reading=Reading.EPOCH_DAYS),
    "placed_at": ColumnSource("/placed_at", reading=Reading.EPOCH_US),
}

AVRO = WrittenSchema(
    SchemaKind.AVRO,
    json.dumps(
        {
            "type": "record",
            "name": "Order",
            "fields": [
                {"name": "order_id", "type": "long"},
                {"name": "customer", "type": "string"},
                {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
                {"name": "quantity", "type": "int"},
                {"name": "paid", "type": "boolean"},
                {"name": "weight", "type": "double"},
                {"name": "day", "type": {"type": "int", "logicalType": "date"}},
                {"name": "placed_at", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
                {"name": "updated_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                {"name": "note", "type": ["null", "string"]},
            ],
        }
    ),
)


def _protobuf() -> FileDescriptorProto:
    file = FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message, field = file.message_type.add(name="Order"), FieldDescriptorProto
    kinds = {"order_id": field.TYPE_INT64, "customer": field.TYPE_STRING, "amount": field.TYPE_STRING}
    kinds |= {"quantity": field.TYPE_INT32, "paid": field.TYPE_BOOL, "weight": field.TYPE_DOUBLE}
    kinds |= {"day": field.TYPE_STRING}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=1)
    for number, name in ((8, "placed_at"), (9, "updated_at")):
        message.field.add(
            name=name, number=number, type=field.TYPE_MESSAGE, label=1, type_name=".google.protobuf.Timestamp"
        )
    message.field.add(name="note", number=10, type=field.TYPE_STRING, label=1)
    return file


class _Schemas:
    """A registry in memory with one schema of each kind."""

    def __init__(self) -> None:
        timestamp = timestamp_pb2.DESCRIPTOR.serialized_pb
        reference = Reference("google/protobuf/timestamp.proto", b64encode(timestamp).decode())
        text = b64encode(_protobuf().SerializeToString()).decode()
        self._known = {
            SchemaKind.AVRO: AVRO,
            SchemaKind.PROTOBUF: WrittenSchema(SchemaKind.PROTOBUF, text, (reference,)),
        }

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        return self._known[kind]


SCHEMAS = _Schemas()
_write_avro = compile_avro(AVRO)


def in_avro(number: int) -> bytes:
    """Return an order in Avro, with logical types."""
    document = json.loads(in_texts(number))
    document["placed_at"] = document["placed_at"].removesuffix("Z")
    return b"\0\0\0\0\7" + _write_avro(json.dumps(document).encode())


@cache
def _message_class() -> Any:
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(_protobuf())
    return GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def in_protobuf(number: int) -> bytes:
    """Return an order in Protobuf."""
    document = json.loads(in_texts(number))
    return b"\0\0\0\0\7\0" + ParseDict(document, _message_class()()).SerializeToString()


WAYS: dict[str, tuple[Callable[[int], bytes], FormatOptions, dict[str, ColumnSource]]] = {
    "json, times and decimals as texts": (in_texts, PLAIN_JSON, BARE),
    "json, times and decimals by `as`": (in_numbers, PLAIN_JSON, UNITS),
    "json in the envelope of Debezium": (in_a_change, PLAIN_JSON, BARE),
    "connect-json, decoded rows": (with_schema, FormatOptions(value=Format.CONNECT_JSON), BARE),
    "avro": (in_avro, FormatOptions(value=Format.AVRO, schemas=SCHEMAS), BARE),
    "protobuf": (in_protobuf, FormatOptions(value=Format.PROTOBUF, schemas=SCHEMAS), BARE),
}


def _events(records: Sequence[Record], route: Route) -> list[TableEvents]:
    decoder = TopicDecoder("orders", None, [route])
    columns = decoder.new_columns()
    for record in records:
        decoder.add(record, columns.values())
    [found] = columns.values()
    assert not found.refused, next(iter(found.refused.values()))
    whole = TableEvents(found.ids, found.types, found.records)
    return [whole.part(start, start + PART) for start in range(0, len(records), PART)]


def measure(connection: Connection, way: str, events: int) -> tuple[float, float, float]:
    """Return the microseconds of CPU per event: to read it, to make its arrays, and of the server to write it."""
    encode, options, sources = WAYS[way]
    in_envelope = encode is in_a_change
    envelope = Envelope.DEBEZIUM if in_envelope else Envelope.NONE
    target = TableTarget(
        name="public.orders",
        mode=TableMode.UPSERT,
        key=("order_id",),
        columns=sources,
        decoded=options.value.has_decoded_rows,
        envelope=envelope,
    )
    rule = "debezium" if in_envelope else "coordinates"
    route = Route(name="orders", topics=("orders",), target=target, event_id=rule, format=options, envelope=envelope)
    records: list[Record] = [
        KeptRecord(
            ("orders", 0, number), b'{"order_id":%d}' % number, encode(number), [], (1, 1_767_225_600_000), epoch=0
        )
        for number in range(events)
    ]
    for statement in EMPTY:
        connection.execute(statement.encode())
    writer = TableWriter(connection, target)
    gc.collect()
    gc.freeze()
    parts: list[TableEvents] = []
    reading = _timed(lambda: parts.extend(_events(records, route)))
    making = _timed(lambda: [writer._sent.parameters(part) for part in parts])
    writing = _of_backend(connection, parts, lambda part: writer.write(connection, part))  # type: ignore[arg-type]
    row = connection.execute(
        "SELECT count(*) FROM public.orders WHERE amount IS NOT NULL AND day IS NOT NULL"
    ).fetchone()
    assert row == (events,), row
    gc.unfreeze()
    return reading / events * 1e6, making / events * 1e6, writing / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with servers(progress=print) as running, database(running) as url:
        print(f"{running.description}; microseconds of CPU per event, {arguments.events:,} orders of 10 columns")
        with closing(connect(DatabaseOptions(url=SecretStr(url)))) as connection:
            found: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
            for _ in range(arguments.rounds):
                for way in WAYS:
                    found[way].append(measure(connection, way, arguments.events))
        for way, runs in found.items():
            reading, making, writing = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"  client {reading:5.2f} + {making:5.2f}   server {writing:6.2f}   {way}")


if __name__ == "__main__":
    main()
