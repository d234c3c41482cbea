"""The relay sends Avro and JSON Schema that a sink can read; a row that does not fit holds the rest."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from inbox.kafka.registry.client import RegistryAnswers
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.schemas import schema_registry
from inbox.reading.formats.avro.reader import AvroFormat
from inbox.reading.formats.framing import VALUE_HEADER
from inbox.reading.schemas import WrittenSchema
from inbox.reading.values import as_json
from inbox.relay.formats.options import EncodingOptions, OutboxFormat
from tests.integration.relay.conftest import MakeStage, Stage, relaying
from tests.support.registry_stub import RegistryStub, refusal, registry_stub, schema_answer
from tests.support.schemas import avro, json_schema
from tests.support.waiting import eventually

ORDER = avro(
    {
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
            {"name": "note", "type": ["null", "string"], "default": None},
        ],
    },
    name="order.avsc",
)
DRAFT = "http://json-schema.org/draft-07/schema#"
"""Apicurio takes a schema without `$schema` and without properties for no JSON Schema."""

Encoded = Callable[..., Stage]


@pytest.fixture
def encoded(make_stage: MakeStage, registry_url: str) -> Encoded:
    """Makes a stage whose relay writes with the schemas of a registry; `schema` is that of its topic."""

    def make(schema: WrittenSchema | None = ORDER, *, url: str = registry_url, **options: Any) -> Stage:
        stage = make_stage()
        files = {} if schema is None else {f"{stage.topic}-value": schema}
        form = OutboxFormat.JSON_SCHEMA if schema is not None and schema.kind == "JSON" else OutboxFormat.AVRO
        registry = RegistryOptions(properties={"url": url, "timeout": "2"})
        stage.encoding = EncodingOptions(
            **{"format": form, "registry": registry, "register": True, "files": files, **options}
        )
        return stage

    return make


def rows(stage: Stage, url: str) -> list[Any]:
    """What a sink reads of the topic, as JSON."""
    schemas = schema_registry(RegistryOptions(properties={"url": url}))
    reader = AvroFormat(schemas, header=VALUE_HEADER)
    return [as_json(reader.decode(each.value() or b"", ()).row) for each in stage.in_kafka()]


@pytest.mark.parametrize("transactional", [False, True])
def test_what_was_published_as_json_is_read_as_avro(encoded: Encoded, registry_url: str, transactional: bool) -> None:
    stage = encoded()
    if transactional:
        stage.outbox = replace(stage.outbox, transactional_id=str(uuid4()))
    stage.publish('{"id": 1, "amount": 12345678901234567.10}', '{"id": 2, "amount": "0.05", "note": "x"}')
    with relaying(stage, until_empty=True, transactional=transactional):
        pass
    first, second = rows(stage, registry_url)
    assert (first["id"], str(first["amount"]), first["note"]) == (1, "12345678901234567.10", None)
    assert (second["id"], str(second["amount"]), second["note"]) == (2, "0.05", "x")
    headers = [[name for name, _ in each.headers() or ()] for each in stage.in_kafka()]
    assert headers == [["event_id", "type"]] * 2


def test_without_register_the_newest_schema_of_the_subject_is_used(encoded: Encoded, registry_url: str) -> None:
    stage = encoded(None, register=False)
    answers = RegistryAnswers(RegistryOptions(properties={"url": registry_url}))
    registered = answers.registered(f"{stage.topic}-value", ORDER)
    stage.publish('{"id": 1, "amount": 1}')
    with relaying(stage, until_empty=True):
        pass
    assert (stage.in_kafka()[0].value() or b"")[:5] == b"\0" + registered.schema_id.to_bytes(4, "big")


def test_json_keeps_its_bytes_behind_the_id(encoded: Encoded) -> None:
    stage = encoded(json_schema({"$schema": DRAFT, "type": "object", "required": ["id"]}))
    stage.publish('{"id":  1.50}')
    with relaying(stage, until_empty=True):
        pass
    assert [(each.value() or b"")[5:] for each in stage.in_kafka()] == [b'{"id":  1.50}']


def test_a_row_that_does_not_fit_holds_those_behind_it_and_none_before_it(encoded: Encoded, registry_url: str) -> None:
    stage = encoded()
    good = [json.dumps({"id": number, "amount": 1}) for number in range(200)]
    stage.publish(*good[:100], '{"id": 1, "amount": 1, "secret": 2}', *good[100:])
    with relaying(stage) as relay:
        eventually(lambda: stage.unsent() == 101, what="the rows before it")
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert "1 members of it are not in the schema" in relay.progress.waiting_for
        assert "secret" not in relay.progress.waiting_for
        stage.rows("DELETE FROM inbox.outbox WHERE payload::text LIKE '%secret%'")
        stage.all_sent()
    assert list(dict.fromkeys(each["id"] for each in rows(stage, registry_url))) == list(range(200))


def test_a_row_that_does_not_fit_holds_its_whole_transaction(encoded: Encoded, registry_url: str) -> None:
    stage = encoded()
    stage.outbox = replace(stage.outbox, transactional_id=str(uuid4()))
    stage.publish('{"id": 1, "amount": 1}', '{"id": 2, "amount": 1, "secret": 2}')
    with relaying(stage, transactional=True) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert rows(stage, registry_url) == []
        stage.rows("DELETE FROM inbox.outbox WHERE payload::text LIKE '%secret%'")
        stage.all_sent()
    assert [each["id"] for each in rows(stage, registry_url)] == [1]


def test_a_new_version_of_the_schema_ends_the_wait(encoded: Encoded, registry_url: str) -> None:
    stage = encoded(None, register=False)
    answers = RegistryAnswers(RegistryOptions(properties={"url": registry_url}))
    answers.registered(f"{stage.topic}-value", avro({**json.loads(ORDER.text), "fields": _fields()[:1]}))
    stage.publish('{"id": 1, "amount": 1}')
    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        answers.registered(f"{stage.topic}-value", ORDER)
        stage.all_sent()
    assert [each["id"] for each in rows(stage, registry_url)] == [1]


def _fields() -> list[Any]:
    return list(json.loads(ORDER.text)["fields"])


@pytest.fixture
def away() -> Any:
    with registry_stub() as running:
        running.otherwise = refusal(503, 50301)
        yield running


def test_the_registry_away_is_an_outage_and_nothing_is_lost(encoded: Encoded, away: RegistryStub) -> None:
    stage = encoded(None, register=False, url=away.url)
    stage.publish('{"id": 1, "amount": 1}')
    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert "answers 503" in relay.progress.waiting_for
        assert stage.unsent() == 1
        away.answers[f"/subjects/{stage.topic}-value/versions/latest"] = schema_answer(
            ORDER.text, subject="s", version=1, id=7
        )
        stage.all_sent()
        away.answers.clear()
        stage.publish('{"id": 2, "amount": 1}')
        stage.all_sent()
    assert [(each.value() or b"")[:5] for each in stage.in_kafka()] == [b"\0\0\0\0\7"] * 2
