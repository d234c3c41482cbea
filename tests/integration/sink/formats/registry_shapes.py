"""Topics whose values have a schema: how their producers write them, and what `new route` is given."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro import parse_schema, schemaless_writer
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass

from tests.support.sink.running import Out

Write = Callable[["Producers", str], tuple[Sequence[Out], Sequence[str]]]
"""Returns the events of a topic, and the arguments of `new route`."""


def avro(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": each, "type": kind} for each, kind in fields.items()]}


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
ORDER = avro("R", id="long", day={"type": "int", "logicalType": "date"}, price=DECIMAL, inner=avro("I", x="int"))
ROW = {"id": 1, "day": date(2022, 1, 8), "price": Decimal("9.90"), "inner": {"x": 7}}
PAYMENT = {
    "type": "object",
    "title": "Payment",
    "properties": {
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "price": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "refund": {"type": ["number", "null"]},
    },
}
PAID = {"id": 2**60, "at": "2026-01-01T10:00:00Z", "price": 1.25, "tags": ["a"]}


@dataclass(frozen=True)
class Producers:
    """The serializers of a registry, and a directory for schema files."""

    client: SchemaRegistryClient
    directory: Path
    order_class: Any

    def avro(self, topic: str, schema: Any, *, key: bool = False) -> Callable[[Any], bytes | None]:
        write = AvroSerializer(self.client, json.dumps(schema))
        context = SerializationContext(topic, MessageField.KEY if key else MessageField.VALUE)
        return lambda value: None if value is None else write(value, context)

    def protobuf(self, topic: str, message: Any) -> bytes | None:
        write = ProtobufSerializer(type(message), self.client, {"use.deprecated.format": False})
        return write(message, SerializationContext(topic, MessageField.VALUE))

    def json(self, topic: str, value: Any) -> bytes | None:
        write = JSONSerializer(json.dumps(PAYMENT), self.client)
        return write(value, SerializationContext(topic, MessageField.VALUE))

    def file(self, name: str, data: bytes) -> str:
        (self.directory / name).write_bytes(data)
        return str(self.directory / name)


def payment_class() -> Any:
    """`shop.Payment`: a oneof, an enum, a map, an unsigned number, and fields that nobody sets."""
    file = FileDescriptorProto(name="payment_of_tests.proto", package="shop", syntax="proto3")
    file.enum_type.add(name="State").value.add(name="OPEN", number=0)
    file.enum_type[0].value.add(name="PAID", number=1)
    message = file.message_type.add(name="Payment")
    message.oneof_decl.add(name="how")
    entry = message.nested_type.add(name="NotesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=Field.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=Field.TYPE_STRING, label=1)
    message.field.add(name="id", number=1, type=Field.TYPE_INT64, label=1)
    message.field.add(name="card", number=2, type=Field.TYPE_STRING, label=1, oneof_index=0)
    message.field.add(name="cash", number=3, type=Field.TYPE_INT64, label=1, oneof_index=0)
    message.field.add(name="voucher", number=4, type=Field.TYPE_BYTES, label=1, oneof_index=0)
    message.field.add(name="state", number=5, type=Field.TYPE_ENUM, type_name=".shop.State", label=1)
    message.field.add(name="big", number=6, type=Field.TYPE_UINT64, label=1)
    message.field.add(name="notes", number=7, type=Field.TYPE_MESSAGE, type_name=".shop.Payment.NotesEntry", label=3)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("shop.Payment"))


def in_avro(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    return [Out(None, given.avro(topic, ORDER)(ROW), key="1")], []


def in_avro_by_subject(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    """The newest version has a field that no event has."""
    event = Out(None, given.avro(topic, ORDER)(ROW), key="1")
    added = {"name": "added", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}], "default": None}
    newer = {**ORDER, "fields": [*ORDER["fields"], added]}
    given.client.register_schema(f"{topic}-value", Schema(json.dumps(newer), "AVRO"))
    return [event], ["--subject", f"{topic}-value"]


def in_avro_of_a_file(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    buffer = io.BytesIO()
    schemaless_writer(buffer, parse_schema(ORDER), ROW)
    file = given.file("order.avsc", json.dumps(ORDER).encode())
    return [Out(None, buffer.getvalue(), key="1")], ["--schema-file", file]


def in_protobuf(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    order = given.order_class(id=1, name="Ann", tags=["a"])
    order.at.seconds = 1_700_000_000
    return [Out(None, given.protobuf(topic, order), key="1")], []


def in_protobuf_by_subject(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    """Of the schema's two messages the record names the second."""
    return in_protobuf(given, topic)[0], ["--subject", f"{topic}-value"]


def in_protobuf_of_a_file(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    order = given.order_class(id=1, name="Ann")
    order.at.seconds = 1_700_000_000
    found = FileDescriptorSet()
    for each in (*order.DESCRIPTOR.file.dependencies, order.DESCRIPTOR.file):
        each.CopyToProto(found.file.add())
    file = given.file("order.desc", found.SerializeToString())
    return [Out(None, order.SerializeToString(), key="1")], ["--schema-file", file, "--message", "shop.Order"]


def in_a_oneof(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    payment = payment_class()
    by_card = payment(id=1, card="4711", state=1, big=2**64 - 1, notes={"a": "b"})
    return [Out(None, given.protobuf(topic, each), key=str(each.id)) for each in (by_card, payment(id=2, cash=0))], []


def in_json_schema(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    return [Out(None, given.json(topic, PAID), key=str(PAID["id"]))], []


def in_json_schema_by_subject(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    return in_json_schema(given, topic)[0], ["--subject", f"{topic}-value"]


def in_json_schema_of_a_file(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    file = given.file("payment.json", json.dumps(PAYMENT).encode())
    return [Out(None, PAID, key=str(PAID["id"]))], ["--schema-file", file]


def changes_in_avro(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    """As Debezium writes them with Avro's converter: key and value have schemas, and a delete names its row by both."""
    row = avro("Value", id="int", price=DECIMAL, at={"type": "long", "logicalType": "timestamp-micros"})
    texts = dict.fromkeys(("connector", "db", "schema", "table", "snapshot"), "string")
    source = avro("Source", **texts, txId="long", lsn="long")
    change = avro("Envelope", before=["null", row], after=["null", "Value"], source=source, op="string", ts_ms="long")
    key_of, value_of = given.avro(topic, avro("Key", id="int"), key=True), given.avro(topic, change)
    of = {"connector": "postgresql", "db": "d", "schema": "s", "table": "t", "snapshot": "false", "txId": 1}

    def event(number: int, op: str, before: Any, after: Any) -> Out:
        whole = {"before": before, "after": after, "op": op, "ts_ms": 1, "source": {**of, "lsn": number}}
        return Out(None, value_of(whole), key=key_of({"id": (after or before)["id"]}))

    one, two = (
        {"id": each, "price": Decimal("9.90"), "at": datetime(2026, 1, 1, 10, microsecond=5, tzinfo=UTC)}
        for each in (1, 2)
    )
    dearer = {**one, "price": Decimal("10.00")}
    gone = Out(None, None, key=key_of({"id": 2}))
    return [
        event(1, "c", None, one),
        event(2, "c", None, two),
        event(3, "u", one, dearer),
        event(4, "d", two, None),
        gone,
    ], []


def cloud_events_in_avro(given: Producers, topic: str) -> tuple[Sequence[Out], Sequence[str]]:
    headers: Mapping[str, str] = {
        "ce_specversion": "1.0",
        "ce_source": "/shop",
        "ce_type": "T",
        "ce_id": "1",
        "content-type": "application/avro",
    }
    return [Out(None, given.avro(topic, ORDER)(ROW), headers=headers)], []
