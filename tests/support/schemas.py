"""Schemas and a registry in memory, for tests of formats."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from inbox.reading.schemas import Reference, SchemaError, SchemaId, SchemaKind, WrittenSchema

FieldType = FieldDescriptorProto

_ANSWER_SECONDS = 10


def registry_client(url: str) -> SchemaRegistryClient:
    """A client that asks again where the registry does not answer: now and then Apicurio forgets a request."""
    return SchemaRegistryClient({"url": url, "timeout": _ANSWER_SECONDS})


def avro(schema: Any, *references: Any, name: str = "schema 7") -> WrittenSchema:
    """An Avro schema, with those that it refers to."""
    texts = tuple(Reference(f"r{index}", json.dumps(each)) for index, each in enumerate(references))
    return WrittenSchema(SchemaKind.AVRO, json.dumps(schema), texts, name)


def json_schema(schema: Any, **references: Any) -> WrittenSchema:
    """A JSON Schema, with those that it refers to by name."""
    texts = tuple(Reference(name, json.dumps(each)) for name, each in references.items())
    return WrittenSchema(SchemaKind.JSON, json.dumps(schema), texts, "schema 7")


def protobuf(file: FileDescriptorProto, *references: FileDescriptorProto) -> WrittenSchema:
    """A Protobuf schema as a registry gives it with format=serialized."""
    texts = tuple(Reference(each.name, _serialized(each)) for each in references)
    return WrittenSchema(SchemaKind.PROTOBUF, _serialized(file), texts, "schema 7")


def _serialized(file: FileDescriptorProto) -> str:
    return b64encode(file.SerializeToString()).decode()


@dataclass
class MemorySchemas:
    """A registry in memory that counts how often it is asked."""

    schemas: dict[SchemaId, WrittenSchema] = field(default_factory=dict)
    asked: list[SchemaId] = field(default_factory=list)

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        self.asked.append(schema_id)
        found = self.schemas[schema_id]
        if found.kind is not kind:
            raise SchemaError(f"{found.name} is {found.kind}")
        return found
