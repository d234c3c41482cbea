"""Events that change in the middle of a stream: each change is named, and nothing is dropped without a trace."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.support.registry_stub import RegistryStub, schema_answer
from tests.support.schemas import FieldType
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

ROUTE = """
[[routes]]
name = "rows"
topic = "TOPIC"
{route}
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["id"]
columns_by_name = true
unknown_members = "count"
"""


def advice(sink: Sink, capsys: pytest.CaptureFixture[str], subject: str) -> list[str]:
    """The advice of `inbox check`, which it is no failure to need."""
    capsys.readouterr()
    code = sink.command("check", "--json")
    found = json.loads(capsys.readouterr().out)["checks"]
    assert code == 0, found
    return [line for each in found if each["check"].startswith(subject) for line in each["problems"]]


def test_members_that_come_go_and_change_their_type(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, kept int, gone int)")
    sink.configure(ROUTE.format(route=""))
    sink.send(Out(0, {"id": 0, "kept": 1, "gone": 1}))
    with sink.running():
        eventually(lambda: sink.sql("SELECT count(*) FROM rows") == [(1,)])
        sink.send(
            Out(1, {"id": 1, "kept": 1, "fresh": "a"}),
            Out(2, {"id": 2, "kept": "many", "fresh": "b"}),
            Out(3, {"id": 3, "kept": 3_000_000_000, "fresh": "c"}),
        )
        eventually(lambda: sink.next_offsets() == {0: 4})
        assert sink.dead_letters() == [(2, "parked"), (3, "parked")]
        assert sink.sql("SELECT member, events FROM inbox.unknown_members") == [("fresh", 1)]
        assert advice(sink, capsys, "drift") == [
            "events have members that fill no column: fresh (1 events); inbox table plan --route rows shows what to add"
        ]
        assert sink.command("table", "plan", "--execute", "--json") == 1  # a text in an int is for a person
        [plan] = json.loads(capsys.readouterr().out)["plans"]
        assert [each["sql"] for each in plan["additive"]] == ["ALTER TABLE public.rows ADD COLUMN fresh text;"]
        assert [each["why"] for each in plan["refused"]] == ["the events have 1 texts, which integer may refuse"]
        sink.sql("ALTER TABLE rows ALTER COLUMN kept TYPE bigint")
        assert sink.command("dead-letters", "retry", "--all", "--execute") == 1
        sink.send(Out(4, {"id": 4, "kept": 4, "fresh": "d"}))
        eventually(lambda: sink.sql("SELECT count(*) FROM rows WHERE id = 4") == [(1,)])

    assert sink.sql("SELECT * FROM rows ORDER BY id") == [
        (0, 1, 1, None),
        (1, 1, None, None),
        (3, 3_000_000_000, None, "c"),
        (4, 4, None, "d"),
    ]
    assert [offset for offset, state in sink.dead_letters() if state == "parked"] == [2]
    assert advice(sink, capsys, "drift") == []


def test_what_the_newest_events_do_not_fill_or_fit_is_named(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    """No registry describes them. A column that no event ever filled is not gone."""
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, kept int, gone int, empty int)")
    sink.configure(ROUTE.format(route=""))
    sink.send(*(Out(n, {"id": n, "kept": n, "gone": 1}) for n in range(10)))
    sink.send(*(Out(n, {"id": n, "kept": "x"}) for n in range(10, 16)))
    assert sink.command("migrate") == 0

    assert advice(sink, capsys, "values") == [
        "the events have 5 texts, which integer may refuse; inbox table plan --route rows shows the SQL",
        "the newest 5 events have no value for gone, and earlier ones have; ask their producer, then drop the columns "
        "or correct the route",
    ]


AVRO = {
    "type": "record",
    "name": "R",
    "fields": [{"name": "id", "type": "int"}, {"name": "fresh", "type": ["null", "string"]}],
}
JSON_SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "fresh": {"type": "string"}}}


@pytest.mark.parametrize(
    ("form", "kind", "schema", "removed"), [("avro", "AVRO", AVRO, 1), ("json-schema", "JSON", JSON_SCHEMA, 0)]
)
def test_the_newest_schema_is_compared_before_an_event_comes(
    sink: Sink, stub: RegistryStub, capsys: pytest.CaptureFixture[str], form: str, kind: str, schema: Any, removed: int
) -> None:
    """A JSON Schema that allows more members than it names does not say that one is gone."""
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, gone int)")
    subject = f"{sink.topic}-value"
    stub.answers[f"/subjects/{subject}/versions/latest"] = schema_answer(schema, kind, subject=subject, version=3, id=9)
    sink.configure(ROUTE.format(route=f'format = "{form}"'), rest=f'[registry]\nurl = "{stub.url}"')
    assert sink.command("migrate") == 0

    found = advice(sink, capsys, "schemas")

    assert len(found) == 1 + removed
    [added] = [line for line in found if "fill no column" in line]
    assert added.endswith("has fields that fill no column: fresh; inbox table plan --route rows shows what to add")
    assert all('column "gone" is filled by name' in line for line in found if line != added)


def protobuf_text() -> str:
    file = FileDescriptorProto(name="r.proto", package="shop", syntax="proto3")
    message = file.message_type.add(name="R")
    message.field.add(name="id", number=1, type=FieldType.TYPE_INT32, label=1)
    message.field.add(name="n", number=2, type=FieldType.TYPE_INT64, label=1)
    message.field.add(name="text", number=3, type=FieldType.TYPE_STRING, label=1)
    message.field.add(name="fresh", number=4, type=FieldType.TYPE_STRING, label=1)
    return b64encode(file.SerializeToString()).decode()


GROWN_AVRO = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "n", "type": ["int", "long"]},
        {"name": "text", "type": "string"},
        {"name": "fresh", "type": ["null", "string"]},
    ],
}
GROWN_JSON = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "n": {}, "text": {"type": "string"}, "fresh": {"type": "string"}},
    "additionalProperties": False,
}
ADDED = "ALTER TABLE public.rows ADD COLUMN fresh text;"
WIDER = "ALTER TABLE public.rows ALTER COLUMN n TYPE bigint;"


@pytest.mark.parametrize(
    ("form", "kind", "schema", "additive"),
    [
        ("avro", "AVRO", GROWN_AVRO, [ADDED, WIDER]),
        ("protobuf", "PROTOBUF", protobuf_text(), [ADDED, WIDER]),
        ("json-schema", "JSON", GROWN_JSON, [ADDED]),
        ("avro of a file", "AVRO", GROWN_AVRO, [ADDED, WIDER]),
    ],
)
def test_a_plan_needs_no_event_of_the_newest_schema(
    sink: Sink,
    stub: RegistryStub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    form: str,
    kind: str,
    schema: Any,
    additive: list[str],
) -> None:
    """The field that the schema gained becomes a column, and the one that it lost is left to a person."""
    sink.sql("CREATE TABLE rows (id int PRIMARY KEY, n int, text int, lost int NOT NULL, empty int)")
    subject = f"{sink.topic}-value"
    stub.answers[f"/subjects/{subject}/versions/latest"] = schema_answer(schema, kind, subject=subject, version=3, id=9)
    in_file = form.endswith(" of a file")
    file = tmp_path / "r.avsc"
    file.write_text(json.dumps(schema))
    route = f'format = "avro"\nschema_file = "{file}"' if in_file else f'format = "{form}"'
    sink.configure(ROUTE.format(route=route), rest=f'[registry]\nurl = "{stub.url}"')

    assert sink.command("table", "plan", "--execute", "--json") == 1

    [plan] = json.loads(capsys.readouterr().out)["plans"]
    named = str(file) if in_file else f"{subject} version 3"
    assert (plan["sampled"], plan["schemas"]) == (0, [named])
    assert [each["sql"] for each in plan["additive"]] == additive
    assert [(each["sql"], each["why"]) for each in plan["refused"]] == [
        (
            "ALTER TABLE public.rows ALTER COLUMN text TYPE text USING text::text;",
            f"{named} allows texts, which integer may refuse",
        ),
        (
            "ALTER TABLE public.rows ALTER COLUMN lost DROP NOT NULL;",
            f"{named} has no such field, and the column is NOT NULL",
        ),
    ]
    assert plan["unfilled"] == ["lost", "empty"]
    assert sink.sql("SELECT fresh FROM rows") == []
