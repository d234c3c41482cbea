"""A record names its schema before its data, by a GUID, in a header, or not at all: into a table and a handler."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

import pytest

from inbox import Event, Transaction
from inbox.errors import StartupError
from tests.integration.sink.conftest import EFFECTS
from tests.support.registry_stub import RegistryStub, schema_answer
from tests.support.sink.running import Out, Sink

ROUTES = """
[[routes]]
topic = "TOPIC"
format = "avro"
{more}
[routes.table]
name = "public.orders"
mode = "append"
[routes.table.columns]
id = "/id"

[[routes]]
topic = "TOPIC"
handler = "handler"
format = "avro"
{more}
"""
SCHEMA = {"type": "record", "name": "R", "fields": [{"name": "id", "type": "long"}]}
GUID = UUID("89791762-2336-4186-9674-299b90a802e2")
DATA = b"\x08"


@pytest.fixture
def seen(sink: Sink, offer: Callable[..., None]) -> Callable[[], list[tuple[int, str]]]:
    """What the table and the handler have of each event: its id there, and its data with the schema id."""

    def apply(event: Event, tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO effects (event, key) VALUES (%s, %s)", (event.id.int, f"{event.data} {event.schema_id}")
        )

    offer(handler=apply)
    sink.sql(EFFECTS)
    sink.sql("CREATE TABLE orders (id bigint)")

    def read() -> list[tuple[int, str]]:
        ids, data = sink.column("SELECT id FROM orders"), sink.column("SELECT key FROM effects ORDER BY position")
        return list(zip(ids, data, strict=True))

    return read


@pytest.fixture
def configured(sink: Sink, stub: RegistryStub, seen: object) -> Sink:
    """A sink with both routes on a registry that knows the schema by its id and its GUID."""
    sink.configure(ROUTES.format(more=""), rest=f'[registry]\nurl = "{stub.url}"\ntimeout = 2')
    stub.answers["/schemas/ids/7"] = schema_answer(SCHEMA)
    stub.answers[f"/schemas/guids/{GUID}"] = schema_answer(SCHEMA, guid=str(GUID))
    return sink


@pytest.mark.parametrize(
    ("value", "headers", "schema_id"),
    [
        (b"\x00\x00\x00\x00\x07" + DATA, {}, "7"),
        (b"\x01" + GUID.bytes + DATA, {}, str(GUID)),
        (DATA, {"__value_schema_id": b"\x00\x00\x00\x00\x07"}, "7"),
        (DATA, {"__value_schema_id": b"\x01" + GUID.bytes}, str(GUID)),
    ],
)
def test_a_schema_is_found_by_the_id_that_the_record_has(
    configured: Sink,
    seen: Callable[[], list[tuple[int, str]]],
    value: bytes,
    headers: Mapping[str, bytes],
    schema_id: str,
) -> None:
    configured.send(Out(1, value, headers=headers))
    configured.run()
    assert configured.dead_letter_errors() == []
    assert seen() == [(4, f"{{'id': 4}} {schema_id}")]


def test_with_a_schema_file_values_are_plain_and_no_registry_is_needed(
    sink: Sink, seen: Callable[[], list[tuple[int, str]]], tmp_path: Path
) -> None:
    (tmp_path / "order.avsc").write_text(json.dumps(SCHEMA))
    sink.configure(ROUTES.format(more=f'schema_file = "{tmp_path / "order.avsc"}"'))
    sink.send(Out(1, DATA))
    sink.run()
    assert seen() == [(4, "{'id': 4} None")]


def test_a_schema_file_that_is_not_there_is_refused_at_the_start(sink: Sink, tmp_path: Path) -> None:
    sink.configure(ROUTES.format(more=f'schema_file = "{tmp_path / "none.avsc"}"'))
    with pytest.raises(StartupError, match="cannot be read: No such file"):
        sink.run()
