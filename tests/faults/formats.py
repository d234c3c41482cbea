"""Traffic of which a third is JSON, a third Avro and a third Protobuf: each format has a topic of its own.

A partition has one number for all topics, so that the checker sees one log. An event of a key, and
what repeats an event, stay in one format.
"""

import io
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from tests.e2e.crashes import crash_routes
from tests.e2e.history import Sent
from tests.faults.traffic import Traffic

FORMATS = ("json", "avro", "protobuf")
MESSAGE = "trial.Changed"

# A good amount is a decimal, and a bad one a text: the union has both.
_AMOUNT = [{"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}, "string"]
_AVRO = {
    "type": "record",
    "name": "Changed",
    "fields": [
        {"name": "kind", "type": "string"},
        {"name": "seq", "type": "long"},
        {"name": "amount", "type": _AMOUNT},
    ],
}
_WRITER = fastavro.parse_schema(_AVRO)
_NO_VALUE = b"\xff" * 11
"""Bytes that are no value in Avro, whose longest number has 10, and no field in Protobuf."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="trial.proto", package="trial", syntax="proto3")
    message = file.message_type.add(name="Changed")
    kinds = {"kind": FieldDescriptorProto.TYPE_STRING, "seq": FieldDescriptorProto.TYPE_INT64}
    for number, (name, kind) in enumerate({**kinds, "amount": FieldDescriptorProto.TYPE_STRING}.items(), start=1):
        message.field.add(name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
    return file


_POOL = DescriptorPool()
_POOL.AddSerializedFile(_file().SerializeToString())
_CHANGED: Any = GetMessageClass(_POOL.FindMessageTypeByName(MESSAGE))


def routes(topics: Sequence[str], directory: Path) -> str:
    """Write the schemas into the directory, and return the routes of the topics, one topic for each format."""
    avro, protobuf = directory / "changed.avsc", directory / "changed.desc"
    avro.write_text(json.dumps(_AVRO))
    protobuf.write_bytes(FileDescriptorSet(file=[_file()]).SerializeToString())
    decoding = {
        "json": "",
        "avro": f'format = "avro"\nschema_file = "{avro}"',
        "protobuf": f'format = "protobuf"\nschema_file = "{protobuf}"\nmessage = "{MESSAGE}"',
    }
    return "".join(
        crash_routes(topic, suffix=f" {each}", decoding=decoding[each])
        for topic, each in zip(topics, FORMATS, strict=True)
    )


def encoded(event: Sent, written_in: str) -> bytes:
    """Return the value of an event in a format."""
    if written_in == "json":
        return event.value()
    if event.kind == "no json":
        return _NO_VALUE
    members = json.loads(event.value())
    if written_in == "protobuf":
        return bytes(_CHANGED(**members).SerializeToString())
    if event.kind != "bad amount":
        members["amount"] = Decimal(members["amount"])
    written = io.BytesIO()
    fastavro.schemaless_writer(written, _WRITER, members)
    return written.getvalue()


class FormattedTraffic(Traffic):
    """Traffic over the topics of all formats; `bases` has the number of each topic's first partition."""

    def __init__(self, bootstrap_servers: str, topics: Sequence[str], partitions_each: int, rng: random.Random) -> None:
        super().__init__(bootstrap_servers, topics[0], partitions_each * len(topics), rng)
        self._topics = topics
        self._each = partitions_each
        self.bases: Mapping[str, int] = {topic: partitions_each * at for at, topic in enumerate(topics)}

    def payload(self, partition: int, event: Sent) -> bytes:
        """Return the value of an event in the format of its partition."""
        return encoded(event, FORMATS[partition // self._each])

    def _produce(self, event: Sent, stored: dict[tuple[int, int], Sent]) -> None:
        number = self._number(event)

        def delivered(error: object, message: Any) -> None:
            if error is None:
                stored[number, message.offset()] = event

        self._producer.produce(
            self._topics[number // self._each],
            self.payload(number, event),
            key=event.key,
            partition=number % self._each,
            headers=event.headers(),
            on_delivery=delivered,
        )

    def _number(self, event: Sent) -> int:
        """Return the number of a partition; an event without a key stays in one topic, where its id is one claim."""
        if event.key is not None or event.event_id is None:
            return self._partition(event.key)
        group = zlib.crc32(event.event_id.bytes) % len(self._topics)
        return group * self._each + self._rng.randrange(self._each)
