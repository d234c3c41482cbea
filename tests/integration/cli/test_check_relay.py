"""`inbox check` of a relay: a producer, and the topics that events wait for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.store.options import ExternalTableColumns, ExternalTableOptions, OutboxOptions
from tests.integration.cli.conftest import Result
from tests.integration.relay.conftest import Stage, make_stage, stage  # noqa: F401 - fixtures
from tests.integration.relay.test_relay import UUID, insert
from tests.support.registry_stub import refusal, registry_stub, schema_answer

Inbox = Callable[..., Result]


@pytest.fixture(name="check")
def check_(tmp_path: Path, stage: Stage, inbox: Inbox) -> Callable[..., dict[str, tuple[str, list[str]]]]:  # noqa: F811
    """Checks a configuration of a relay alone: what was found, by what was looked at."""

    def check(kafka: str = "", outbox: str = "", registry: str = "") -> dict[str, tuple[str, list[str]]]:
        config = tmp_path / "relay.toml"
        config.write_text(
            f'[database]\nurl = "{stage.database_url}"\n[outbox]\n{outbox}\n'
            f'[kafka]\n"bootstrap.servers" = "{stage.bootstrap_servers}"\n{kafka}\n'
            f"{registry}"
        )
        result = inbox("check", "--config", str(config), "--json")
        document = json.loads(result.out)
        assert result.code == (0 if document["ok"] else 1)
        return {each["check"]: (each["result"], each["problems"]) for each in document["checks"]}

    return check


def test_what_is_unwise_is_an_advice(check: Callable[..., dict[str, tuple[str, list[str]]]], stage: Stage) -> None:  # noqa: F811
    stage.publish("1")

    found = check()

    result, problems = found.pop(f"publishing to {stage.topic}")
    assert result == "advice"
    assert "has one replica" in problems[0]
    assert {result for result, _ in found.values()} == {"ok"}


def test_what_stops_the_relay_is_a_failure(
    check: Callable[..., dict[str, tuple[str, list[str]]]],
    stage: Stage,  # noqa: F811
) -> None:
    insert(stage, (UUID(int=1), "no-such-topic", None, "T", "1", None))

    found = check('"max.in.flight" = 9')

    assert found["publishing to no-such-topic"][0] == "failed"
    assert "create it" in found["publishing to no-such-topic"][1][0]
    assert found["producer"][0] == "failed"


def test_without_an_outbox_its_topics_are_not_asked_for(
    check: Callable[..., dict[str, tuple[str, list[str]]]],
    stage: Stage,  # noqa: F811
) -> None:
    with stage.connect() as connection:
        connection.execute("DROP SCHEMA inbox CASCADE")

    found = check()

    assert found["topics of the outbox"] == ("not checked", ["the schema holds no outbox of this version"])
    assert "`inbox migrate`" in found["outbox in inbox"][1][0]


def test_a_table_of_the_users_is_looked_at_and_what_is_only_slow_is_an_advice(
    check: Callable[..., dict[str, tuple[str, list[str]]]],
    stage: Stage,  # noqa: F811
) -> None:
    existing = ExternalTableOptions(table="public.events_out", topic=stage.topic, columns=ExternalTableColumns())
    stage.outbox = OutboxOptions(existing=existing)
    stage.migrate()
    mapping = f'table = "public.events_out"\ntopic = "{stage.topic}"\n'
    assert check(outbox=mapping)["table public.events_out"][0] == "failed"
    stage.rows(
        "CREATE TABLE public.events_out"
        " (event_id uuid PRIMARY KEY, type text, data json, status text, created_at timestamptz)"
    )
    result, problems = check(outbox=mapping)["table public.events_out"]
    assert (result, len(problems)) == ("failed", 1)
    assert 'no column "payload"' in problems[0]

    found = check(outbox=mapping + '[outbox.columns]\npayload = "data"\n')

    assert found["table public.events_out"][0] == "advice"
    assert "CREATE INDEX CONCURRENTLY" in found["table public.events_out"][1][0]
    assert found[f"publishing to {stage.topic}"][0] == "advice"
    assert {result for result, _ in found.values()} == {"ok", "advice"}


def test_the_subjects_of_the_topics_are_looked_up(
    check: Callable[..., dict[str, tuple[str, list[str]]]],
    stage: Stage,  # noqa: F811
) -> None:
    stage.publish("1")
    with registry_stub() as stub:
        stub.answers["/schemas/types"] = (200, b'["AVRO"]')
        stub.otherwise = refusal(404, 40401)
        registry = f'[registry]\nurl = "{stub.url}"\n'

        missing = check(outbox='format = "avro"', registry=registry)
        stub.answers[f"/subjects/{stage.topic}-value/versions/latest"] = schema_answer(
            '"int"', subject="s", version=1, id=7
        )
        found = check(outbox='format = "avro"', registry=registry)

    subject = f"schema of {stage.topic}-value"
    assert missing["schema registry of the outbox"][0] == "ok"
    assert missing[subject][0] == "failed"
    assert f"has no subject {stage.topic}-value; register its schema" in missing[subject][1][0]
    assert found[subject][0] == "ok"
