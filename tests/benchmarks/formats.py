"""The orders of the comparison in Avro and Protobuf, behind the id of a schema that a registry in memory has, and in
Debezium's envelope."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from inbox.reading.schemas import SchemaKind, WrittenSchema
from inbox.relay.formats.avro.writer import compile_avro
from tests.benchmarks.orders import TABLE_ROUTE, order, value
from tests.support.registry_stub import registry_stub, schema_answer

AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "order_id", "type": "long"},
        {"name": "customer", "type": "string"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "quantity", "type": "int"},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": ["null", "string"]},
    ],
}
_AVRO_ID, _PROTOBUF_ID = 1, 2


@cache
def _write_avro() -> Callable[[bytes], bytes]:
    return compile_avro(WrittenSchema(SchemaKind.AVRO, json.dumps(AVRO)))


def in_avro(number: int) -> bytes:
    """Return an order in Avro."""
    return b"\0" + _AVRO_ID.to_bytes(4, "big") + _write_avro()(value(number))


def in_envelope(number: int) -> bytes:
    """Return an order as Debezium sends its update as JSON, with REPLICA IDENTITY DEFAULT."""
    source = (
        b'{"version":"3.5.0.Final","connector":"postgresql","name":"shop","ts_ms":1767225600000,"snapshot":"false",'
        b'"db":"shop","sequence":"[\\"24023128\\",\\"24023128\\"]","ts_us":1767225600000000,'
        b'"ts_ns":1767225600000000000,"schema":"public","table":"orders","txId":555,"lsn":%d,"xmin":null}' % number
    )
    return b'{"before":null,"after":%s,"source":%s,"transaction":null,"op":"u","ts_ms":1767225600001}' % (
        value(number),
        source,
    )


def _file() -> FileDescriptorProto:
    file, of = FileDescriptorProto(name="order.proto", package="shop", syntax="proto3"), FieldDescriptorProto
    message = file.message_type.add(name="Order")
    kinds = {"order_id": of.TYPE_INT64, "customer": of.TYPE_STRING, "amount": of.TYPE_STRING}
    kinds |= {"quantity": of.TYPE_INT32, "placed_at": of.TYPE_STRING, "note": of.TYPE_STRING}
    for number, (name, kind) in enumerate(kinds.items(), 1):
        message.field.add(name=name, number=number, type=kind, label=of.LABEL_OPTIONAL)
    return file


@cache
def _message_class() -> Any:
    pool = DescriptorPool()
    pool.Add(_file())
    return GetMessageClass(pool.FindMessageTypeByName("shop.Order"))


def in_protobuf(number: int) -> bytes:
    """Return an order in Protobuf: the first message of its file."""
    message = _message_class()(**order(number))
    return b"\0" + _PROTOBUF_ID.to_bytes(4, "big") + b"\0" + bytes(message.SerializeToString())


@contextmanager
def registry_of_orders() -> Iterator[str]:
    """The address of a registry with the schemas of the orders, while it is there.

    It answers as Confluent's, and for Avro as Apicurio's own API too.
    """
    text = b64encode(_file().SerializeToString()).decode()
    apicurio = f"/apis/registry/v2/ids/contentIds/{_AVRO_ID}"
    with registry_stub() as stub:
        stub.answers[apicurio] = stub.answers[f"{apicurio}/"] = (200, json.dumps(AVRO).encode())
        stub.answers[f"{apicurio}/references"] = (200, b"[]")
        stub.answers["/schemas/types"] = (200, b'["AVRO", "PROTOBUF"]')
        stub.answers[f"/schemas/ids/{_AVRO_ID}"] = schema_answer(AVRO)
        stub.answers[f"/schemas/ids/{_PROTOBUF_ID}"] = schema_answer(text, "PROTOBUF")
        yield stub.url


@contextmanager
def route_in(form: str) -> Iterator[str]:
    """The table route in a format, with its registry, while that is there."""
    with registry_of_orders() as url:
        yield f'format = "{form}"\n{TABLE_ROUTE}\n[registry]\nurl = "{url}"\n'
