"""`inbox check` holds pointers and columns against the schemas before an event comes."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.registry_stub import RegistryStub, schema_answer
from tests.support.sink.running import Sink

ORDER = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "amount", "type": "int"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "ratio", "type": "double"},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": "long"},
        {"name": "raw", "type": "bytes"},
        {"name": "inner", "type": {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}},
        {"name": "lines", "type": {"type": "array", "items": "I"}},
    ],
}
Check = Callable[..., str]


@pytest.fixture
def check(sink: Sink, stub: RegistryStub, capsys: pytest.CaptureFixture[str]) -> Check:
    """Checks a route with the columns of a table and their sources: what is wrong, or advised."""

    def run(
        columns: Sequence[tuple[str, str, str]],
        schema: Any = ORDER,
        *,
        form: str = "avro",
        more: str = "",
        code: int = 1,
    ) -> str:
        sources = "".join(f"{name} = {source}\n" for name, _, source in columns)
        lines = f'[[routes]]\ntopic = "TOPIC"\nformat = "{form}"\n{more}[routes.table]\nname = "public.orders"\n'
        registry = f'[registry]\nurl = "{stub.url}"'
        sink.configure(f'{lines}mode = "append"\n[routes.table.columns]\n{sources}', rest=registry)
        sink.sql("CREATE TABLE orders (" + ", ".join(f"{name} {kind}" for name, kind, _ in columns) + ")")
        subject = f"{sink.topic}-value"
        stub.answers[f"/subjects/{subject}/versions/latest"] = schema_answer(
            schema, {"avro": "AVRO", "json-schema": "JSON"}[form], subject=subject, version=3, id=9
        )
        assert sink.command("check", "--json") == code
        found = json.loads(capsys.readouterr().out)["checks"]
        return "\n".join(line for each in found if each["check"].startswith("schemas") for line in each["problems"])

    return run


def test_a_pointer_that_the_newest_schema_does_not_have_names_the_nearest(check: Check, sink: Sink) -> None:
    said = check([("amount", "int", '"/amout"')])
    assert said == (
        f'column "amount" from /amout: {sink.topic}-value version 3 has no such field; did you mean /amount?'
    )


def test_schemas_are_not_checked_where_the_registry_cannot_be_asked(check: Check, stub: RegistryStub) -> None:
    stub.otherwise = 404, b"<html>"
    del stub.answers["/schemas/types"]
    assert check([("amount", "int", '"/amount"')]) == "the schema registry cannot be reached"


def test_a_column_that_can_take_no_value_of_its_field_is_a_failure(check: Check) -> None:
    said = check(
        [
            ("amount", "date", '"/amount"'),
            ("at", "timestamptz", '"/at"'),
            ("ratio", "int", '"/ratio"'),
            ("raw", "text", '"/raw"'),
            ("i", "numeric", '"/inner"'),
            ("day", "timestamptz", '{ from = "/day", as = "epoch-days" }'),
        ]
    )
    assert said.splitlines() == [
        'column "amount" from /amount: date cannot take a number without a unit; set as = "epoch-ms" (or another '
        "unit), or give its schema a logical type",
        'column "at" from /at: timestamp with time zone cannot take a number without a unit; set as = "epoch-ms" (or '
        "another unit), or give its schema a logical type",
        'column "ratio" from /ratio: integer cannot take a floating-point number; make the column double precision',
        'column "raw" from /raw: text cannot take bytes; make the column bytea',
        'column "i" from /inner: numeric cannot take an object; point to a part of it, or make the column jsonb',
        'column "day" from /day: as = "epoch-days" does not go with a date, which the schema has there; remove `as`',
    ]


def test_columns_that_take_their_fields_are_accepted(check: Check) -> None:
    columns = [
        ("amount", "numeric", '"/amount"'),
        ("at", "timestamptz", '{ from = "/at", as = "epoch-ms" }'),
        ("day", "date", '"/day"'),
        ("raw", "jsonb", '"/raw"'),
        ("lines", "jsonb", '"/lines"'),
        ("x", "bigint", '"/lines/0/x"'),
        ("name", "text", '"/name"'),
    ]
    assert check(columns, code=0) == ""


def test_a_text_for_a_number_is_an_advice(check: Check) -> None:
    said = check([("name", "int", '"/name"')], code=0)
    assert said == (
        'column "name" from /name: the schema has a text there; a text that is no integer becomes a dead letter'
    )


def test_in_the_envelope_of_debezium_pointers_lead_into_the_row(check: Check) -> None:
    envelope = {
        "type": "record",
        "name": "Envelope",
        "fields": [{"name": "before", "type": ["null", ORDER]}, {"name": "after", "type": ["null", "R"]}],
    }
    said = check(
        [("amount", "int", '"/amount"'), ("nam", "text", '"/nam"')],
        envelope,
        more='envelope = "debezium"\nevent_id = "debezium"\n',
    )
    assert said.endswith("has no such field; did you mean /after/name?")
    assert len(said.splitlines()) == 1


def test_a_json_schema_is_compared_where_it_is_plain(check: Check) -> None:
    schema = {"properties": {"id": {"type": "integer"}, "o": {"type": "object"}}, "additionalProperties": False}
    said = check([("day", "date", '"/id"'), ("n", "int", '"/o"'), ("x", "int", '"/idd"')], schema, form="json-schema")
    missing, *unfit = said.splitlines()
    assert missing.endswith("version 3 has no such field; did you mean /id?")
    assert unfit == [
        'column "day" from /id: date cannot take a number without a unit; set as = "epoch-ms" (or another unit), or '
        "give its schema a logical type",
        'column "n" from /o: integer cannot take an object; point to a part of it, or make the column jsonb',
    ]
