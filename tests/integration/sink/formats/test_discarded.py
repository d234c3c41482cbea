"""A repeat of a discarded event is dropped, in every format and envelope, and another event with its id is not."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.support.changes import change
from tests.support.registry_stub import RegistryStub, schema_answer
from tests.support.schemas import protobuf
from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
topic = "TOPIC"
{route}
[routes.table]
name = "public.rows"
mode = "append"
columns = {{ id = "/id", note = "/note" }}
"""

ROW = {
    "type": "record",
    "name": "Row",
    "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": "string"}],
}
SOURCE = {
    "type": "record",
    "name": "Source",
    "fields": [
        *({"name": name, "type": "string"} for name in ("connector", "name", "db", "schema", "table")),
        *({"name": name, "type": "long"} for name in ("txId", "lsn")),
    ],
}
CHANGE = {
    "type": "record",
    "name": "Envelope",
    "fields": [
        {"name": "before", "type": ["null", ROW]},
        {"name": "after", "type": ["null", "Row"]},
        {"name": "source", "type": SOURCE},
        {"name": "op", "type": "string"},
        {"name": "ts_ms", "type": "long"},
    ],
}
AVRO, AVRO_AGAIN, CHANGES, CHANGES_AGAIN, MESSAGES, MESSAGES_AGAIN, OTHER = range(1, 8)
"""The ids of schemas: each is registered twice, as by a producer that is deployed again. `OTHER` is in JSON Schema."""


def messages() -> FileDescriptorProto:
    file = FileDescriptorProto(name="rows.proto", syntax="proto3")
    message = file.message_type.add(name="Row")
    message.field.add(name="id", number=1, type=Field.TYPE_INT64, label=1)
    message.field.add(name="note", number=2, type=Field.TYPE_STRING, label=1)
    return file


@pytest.fixture
def registry(stub: RegistryStub) -> RegistryStub:
    """A registry that knows each schema by two ids."""
    answers = [
        (AVRO, AVRO_AGAIN, schema_answer(ROW)),
        (CHANGES, CHANGES_AGAIN, schema_answer(CHANGE)),
        (MESSAGES, MESSAGES_AGAIN, schema_answer(protobuf(messages()).text, "PROTOBUF")),
    ]
    for first, again, answer in answers:
        stub.answers[f"/schemas/ids/{first}"] = stub.answers[f"/schemas/ids/{again}"] = answer
    stub.answers[f"/schemas/ids/{OTHER}"] = schema_answer({"type": "object"}, "JSON")
    return stub


def framed(schema_id: int, data: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + data


def avro(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def row(note: str) -> dict[str, Any]:
    return {"id": 1, "note": note}


def plain(note: str, *, again: bool) -> Out:
    return Out(1, row(note))


def in_connect_json(note: str, *, again: bool) -> Out:
    fields = [{"type": "int64", "field": "id"}, {"type": "string", "field": "note"}]
    return Out(1, {"schema": {"type": "struct", "fields": fields}, "payload": row(note)})


def in_avro(note: str, *, again: bool) -> Out:
    return Out(1, framed(AVRO_AGAIN if again else AVRO, avro(ROW, row(note))))


def in_protobuf(note: str, *, again: bool) -> Out:
    data = b"\x08\x01\x12" + bytes([len(note)]) + note.encode()
    return Out(1, framed(MESSAGES_AGAIN if again else MESSAGES, b"\0" + data))


def in_json_schema(note: str, *, again: bool) -> Out:
    return Out(1, framed(2 if again else 1, json.dumps(row(note)).encode()))


def debezium(note: str, *, again: bool) -> Out:
    return Out(None, change("c", after=row(note), ts_ms=99 if again else 5), key='{"id":1}')


def debezium_in_connect_json(note: str, *, again: bool) -> Out:
    of_row = [{"type": "int64", "field": "id"}, {"type": "string", "field": "note"}]
    of_source = [{"type": "string", "field": name} for name in ("connector", "name", "db", "schema", "table")]
    of_source += [{"type": "int64", "field": name} for name in ("txId", "lsn")]
    fields = [
        {"type": "struct", "optional": True, "field": "before", "fields": of_row},
        {"type": "struct", "optional": True, "field": "after", "fields": of_row},
        {"type": "struct", "field": "source", "fields": of_source},
        {"type": "string", "field": "op"},
        {"type": "int64", "field": "ts_ms"},
    ]
    return Out(None, {"schema": {"type": "struct", "fields": fields}, "payload": envelope(note, again)}, '{"id":1}')


def envelope(note: str, again: bool) -> dict[str, Any]:
    source = {"connector": "postgresql", "name": "shop", "db": "shop", "schema": "public", "table": "rows"}
    members = {"before": None, "after": row(note), "source": {**source, "txId": 7, "lsn": 1}, "op": "c"}
    return {**members, "ts_ms": 99 if again else 5}


def debezium_in_avro(note: str, *, again: bool) -> Out:
    value = framed(CHANGES_AGAIN if again else CHANGES, avro(CHANGE, envelope(note, again)))
    return Out(None, value, key='{"id":1}')


def structured_cloud_event(note: str, *, again: bool) -> Out:
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "row", "data": row(note)}
    return Out(None, event, headers={"content-type": "application/cloudevents+json"})


BINARY = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/shop", "ce_type": "row"}


def binary_cloud_event(note: str, *, again: bool) -> Out:
    return Out(None, row(note), headers={**BINARY, "content-type": "application/json"})


def cloud_event_in_avro(note: str, *, again: bool) -> Out:
    out = in_avro(note, again=again)
    return Out(None, out.value, headers={**BINARY, "content-type": "application/avro"})


@dataclass(frozen=True)
class Case:
    """A route, and the event with a note: as it comes first, and as it comes again."""

    route: str
    out: Callable[..., Out]


CASES = {
    "json": Case("", plain),
    "connect-json": Case('format = "connect-json"', in_connect_json),
    "avro": Case('format = "avro"', in_avro),
    "protobuf": Case('format = "protobuf"', in_protobuf),
    "json-schema": Case('format = "json-schema"', in_json_schema),
    "debezium": Case('envelope = "debezium"\nevent_id = "debezium"', debezium),
    "debezium in connect-json": Case(
        'envelope = "debezium"\nevent_id = "debezium"\nformat = "connect-json"', debezium_in_connect_json
    ),
    "debezium in avro": Case('envelope = "debezium"\nevent_id = "debezium"\nformat = "avro"', debezium_in_avro),
    "structured CloudEvent": Case('envelope = "cloudevents"', structured_cloud_event),
    "binary CloudEvent": Case('envelope = "cloudevents"', binary_cloud_event),
    "CloudEvent in avro": Case('envelope = "cloudevents"\nformat = "avro"', cloud_event_in_avro),
}


@pytest.fixture
def configured(sink: Sink, registry: RegistryStub) -> Callable[..., Sink]:
    """A sink with this route into a table that takes no row with the note "bad"."""

    def make(route: str, **other: str) -> Sink:
        sink.configure(ROUTE.format(route=route), rest=f'[registry]\nurl = "{registry.url}"', **other)
        if sink.sql("SELECT to_regclass('rows')") == [(None,)]:
            sink.sql("CREATE TABLE rows (id int, note text CHECK (note <> 'bad'))")
        return sink

    return make


@contextmanager
def away(registry: RegistryStub) -> Iterator[None]:
    """Let the registry answer nothing: a discard asks it nothing."""
    kept, asked = dict(registry.answers), len(registry.asked)
    registry.answers.clear()
    yield
    assert len(registry.asked) == asked
    registry.answers.update(kept)


def discard(sink: Sink) -> None:
    assert sink.command("dead-letters", "discard", "--all", "--execute") == 0


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_repeat_of_a_discarded_event_is_dropped(
    configured: Callable[..., Sink], registry: RegistryStub, case: Case
) -> None:
    sink = configured(case.route)
    sink.send(case.out("bad", again=False))
    sink.run()
    assert sink.dead_letters() == [(0, "parked")]
    with away(registry):
        discard(sink)
    sink.sql("ALTER TABLE rows DROP CONSTRAINT rows_note_check")
    sink.send(case.out("bad", again=False), case.out("bad", again=True), case.out("other", again=False))
    sink.run()
    assert sink.sql("SELECT * FROM rows") == []
    assert sink.dead_letters() == [(0, "discarded"), (3, "parked")]
    assert "with another payload" in sink.dead_letter_errors()[1]
    assert sink.command("audit") == 0


def unreadable(schema_id: int, data: bytes) -> Out:
    return Out(1, framed(schema_id, data))


@pytest.mark.parametrize(
    ("route", "broken"),
    [
        ('format = "avro"', framed(AVRO, b"\xff")),
        ('format = "avro"', framed(OTHER, avro(ROW, row("bad")))),
        ('format = "avro"', b"\xffno frame"),
        ('format = "connect-json"', b"{"),
        ('envelope = "debezium"', b"{"),
        ('envelope = "cloudevents"', b"{"),
        ("", None),
    ],
    ids=[
        "broken avro",
        "no schema of Avro",
        "without a frame",
        "connect-json",
        "debezium",
        "cloudevents",
        "a tombstone",
    ],
)
def test_a_repeat_of_a_discarded_event_that_cannot_be_read_is_dropped(
    configured: Callable[..., Sink], route: str, broken: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = configured(f'{route}\nevent_id = "header:event_id"')
    sink.send(Out(1, broken))
    sink.run()
    assert sink.dead_letters() == [(0, "parked")]
    discard(sink)
    sink.send(Out(1, broken), Out(1, b"\xffother bytes"), Out(2, broken))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked"), (3, "parked")]
    assert sink.endings() == {"duplicate": 1, "dead_lettered": 3}
    capsys.readouterr()
    assert sink.command("audit", "--json") == 0
    [part] = json.loads(capsys.readouterr().out)["partitions"]
    assert part["missing"] == 0


@pytest.mark.parametrize("mode", ["skip-applied", "force"])
def test_a_discarded_event_that_cannot_be_read_stays_discarded_in_a_replay(
    configured: Callable[..., Sink], mode: str
) -> None:
    sink = configured('format = "avro"')
    sink.send(unreadable(AVRO, b"\xff"))
    sink.run()
    discard(sink)
    assert sink.command("replay", "--topic", sink.topic, "--from-earliest", "--mode", mode, "--execute") == 0
    sink.run()
    assert sink.dead_letters() == [(0, "discarded")]


def test_an_event_that_a_forced_replay_cannot_read_stays_parked_until_it_takes_effect_again(
    configured: Callable[..., Sink], registry: RegistryStub
) -> None:
    sink = configured('format = "avro"')
    sink.send(unreadable(AVRO, avro(ROW, row("good"))))
    sink.run()
    registry.answers[f"/schemas/ids/{AVRO}"] = schema_answer({"type": "record", "name": "R", "fields": []})
    assert sink.command("replay", "--topic", sink.topic, "--from-earliest", "--mode", "force", "--execute") == 0
    sink.run()
    assert sink.dead_letters() == [(0, "parked")]
    assert sink.sql("SELECT count(*) FROM inbox.processed") == [(0,)]
    sink.sql("DELETE FROM rows")
    registry.answers[f"/schemas/ids/{AVRO}"] = schema_answer(ROW)
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sink.dead_letters() == [(0, "retried")]
    assert sink.sql("SELECT * FROM rows") == [(1, "good")]


def test_bytes_that_can_be_read_later_are_a_duplicate_and_others_are_not(
    configured: Callable[..., Sink], registry: RegistryStub
) -> None:
    sink = configured('format = "avro"')
    sink.send(unreadable(OTHER, avro(ROW, row("good"))))
    sink.run()
    assert sink.dead_letters() == [(0, "parked")]
    discard(sink)
    registry.answers[f"/schemas/ids/{OTHER}"] = schema_answer(ROW)
    sink.send(unreadable(OTHER, avro(ROW, row("good"))), unreadable(OTHER, avro(ROW, row("better"))))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]
    assert "with another payload" in sink.dead_letter_errors()[1]


def test_the_repeat_of_an_edited_event_that_was_discarded_is_dropped(
    configured: Callable[..., Sink], tmp_path: Path
) -> None:
    sink = configured('format = "avro"')
    sink.send(in_avro("bad", again=False))
    sink.run()
    edited = tmp_path / "edited"
    edited.write_bytes(framed(AVRO, avro(ROW, row("good"))))
    assert sink.command("dead-letters", "edit", "1", "--value", str(edited), "--execute") == 0
    discard(sink)
    sink.send(in_avro("bad", again=True), in_avro("good", again=False))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]


def test_the_repeat_of_an_edited_event_that_was_unreadable_and_applied_is_dropped(
    configured: Callable[..., Sink], tmp_path: Path
) -> None:
    sink = configured('format = "avro"')
    sink.send(unreadable(AVRO, b"\xff"))
    sink.run()
    edited = tmp_path / "edited"
    edited.write_bytes(framed(AVRO, avro(ROW, row("good"))))
    assert sink.command("dead-letters", "edit", "1", "--value", str(edited), "--execute") == 0
    assert sink.command("dead-letters", "retry", "1", "--execute") == 0
    sink.send(unreadable(AVRO, b"\xff"))
    sink.run()
    assert sink.sql("SELECT note FROM rows") == [("good",)]
    assert sink.dead_letters() == [(0, "retried")]


def test_the_repeat_of_a_redacted_event_that_was_discarded_is_dropped(configured: Callable[..., Sink]) -> None:
    sink = configured('format = "avro"')
    sink.send(in_avro("bad", again=False))
    sink.run()
    assert sink.command("dead-letters", "redact", "1", "--execute") == 0
    discard(sink)
    sink.send(in_avro("bad", again=True), in_avro("other", again=False))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]


def test_the_repeat_of_a_discarded_event_that_is_too_large_is_dropped(configured: Callable[..., Sink]) -> None:
    small = {"sink": 'largest_event = "1 KiB"'}
    sink = configured("", **small)
    sink.send(plain("x" * 2000, again=False))
    sink.run()
    discard(sink)
    sink.send(plain("x" * 2000, again=False), plain("y" * 2000, again=False))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]
    sink = configured("")
    sink.send(plain("x" * 2000, again=False))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]
    assert sink.sql("SELECT * FROM rows") == []


def test_a_letter_of_an_earlier_version_is_claimed_with_the_hash_of_its_bytes(configured: Callable[..., Sink]) -> None:
    sink = configured('format = "avro"')
    sink.send(in_avro("bad", again=False))
    sink.run()
    sink.sql("UPDATE inbox.dead_letters SET payload_hash = NULL")
    discard(sink)
    sink.send(in_avro("bad", again=False), in_avro("bad", again=True))
    sink.run()
    assert sink.dead_letters() == [(0, "discarded"), (2, "parked")]
