"""Producers with Confluent's own serializers, and a registry of this test alone whose answers it writes."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pool, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from tests.support.registry_stub import RegistryStub, registry_stub
from tests.support.schemas import registry_client
from tests.support.sink.running import Out, Sink

Serialize = Callable[[Any], bytes]


@pytest.fixture
def client(registry_url: str) -> Iterator[SchemaRegistryClient]:
    """A client of the registry."""
    made = registry_client(registry_url)
    yield made
    made.close()


@pytest.fixture
def stub() -> Iterator[RegistryStub]:
    """A registry whose answers the test writes."""
    with registry_stub() as running:
        running.answers["/schemas/types"] = (200, b'["AVRO"]')
        yield running


@pytest.fixture
def avro_of(client: SchemaRegistryClient, sink: Sink) -> Callable[[str | Schema], Serialize]:
    """Makes a serializer of Avro for the sink's topic: `avro_of(schema)(value)`."""

    def make(schema: str | Schema) -> Serialize:
        serializer, context = AvroSerializer(client, schema), SerializationContext(sink.topic, MessageField.VALUE)
        return lambda value: serializer(value, context) or b""

    return make


@pytest.fixture
def json_of(client: SchemaRegistryClient, sink: Sink) -> Callable[[str], Serialize]:
    """Makes a serializer of JSON with a schema."""

    def make(schema: str) -> Serialize:
        serializer, context = JSONSerializer(schema, client), SerializationContext(sink.topic, MessageField.VALUE)
        return lambda value: serializer(value, context) or b""

    return make


@pytest.fixture
def protobuf_of(client: SchemaRegistryClient, sink: Sink) -> Callable[[Any], Serialize]:
    """Makes a serializer of a Protobuf class."""

    def make(message: Any) -> Serialize:
        serializer = ProtobufSerializer(message, client, {"use.deprecated.format": False})
        context = SerializationContext(sink.topic, MessageField.VALUE)
        return lambda value: serializer(value, context) or b""

    return make


def sent(sink: Sink, *values: bytes) -> None:
    """Send values as events 1, 2, ..."""
    sink.send(*(Out(number, value) for number, value in enumerate(values, 1)))


def identity(number: int) -> UUID:
    """The id of an event that `sent` sends."""
    return UUID(int=number)


@pytest.fixture(scope="session")
def order_class() -> Any:
    """A class as protoc generates it: `shop.Order`, the second message of its file."""
    file = FileDescriptorProto(name="shop_of_tests.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Other")
    message = file.message_type.add(name="Order")
    kinds = [("id", Field.TYPE_INT64, 1), ("name", Field.TYPE_STRING, 1), ("tags", Field.TYPE_STRING, 3)]
    for number, (name, kind, label) in enumerate(kinds, 1):
        message.field.add(name=name, number=number, type=kind, label=label)
    message.field.add(name="at", number=4, type=Field.TYPE_MESSAGE, label=1, type_name=".google.protobuf.Timestamp")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("shop.Order"))
