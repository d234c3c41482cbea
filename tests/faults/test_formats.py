"""Each format of the trial's traffic says the same of an event, and its broken values are broken."""

from pathlib import Path
from uuid import UUID

import pytest

from inbox.errors import EventError
from inbox.reading.formats.avro.reader import AvroFile
from inbox.reading.formats.protobuf.reader import ProtobufFile, schema_of_descriptor_set
from inbox.reading.schemas import SchemaKind, WrittenSchema
from tests.e2e.history import Sent
from tests.faults.formats import FORMATS, MESSAGE, encoded, routes


@pytest.fixture(name="files")
def files_(tmp_path: Path) -> Path:
    """A directory with the schemas of the routes."""
    routes(FORMATS, tmp_path)
    return tmp_path


def decoded(files: Path, event: Sent, written_in: str) -> dict[str, object]:
    if written_in == "avro":
        schema = WrittenSchema(SchemaKind.AVRO, (files / "changed.avsc").read_text())
        found = AvroFile(schema).decode(encoded(event, written_in), [])
    else:
        schema = schema_of_descriptor_set((files / "changed.desc").read_bytes(), "changed.desc")
        found = ProtobufFile(schema, MESSAGE).decode(encoded(event, written_in), [])
    return {name: str(value) for name, value in found.row.items()}


@pytest.mark.parametrize("written_in", ["avro", "protobuf"])
@pytest.mark.parametrize("kind", ["good", "poison", "bad amount"])
def test_an_event_is_the_same_in_every_format(files: Path, kind: str, written_in: str) -> None:
    amount = "much" if kind == "bad amount" else "7.50"
    found = decoded(files, Sent(UUID(int=1), "key", 7, kind), written_in)
    assert found == {"kind": kind, "seq": "7", "amount": amount}


@pytest.mark.parametrize("written_in", ["avro", "protobuf"])
def test_a_broken_value_cannot_be_read(files: Path, written_in: str) -> None:
    with pytest.raises(EventError):
        decoded(files, Sent(UUID(int=1), "key", 7, "no json"), written_in)
