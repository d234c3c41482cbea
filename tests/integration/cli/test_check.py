"""`inbox check`"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.store.postgres.database_urls import with_database
from tests.integration.cli.conftest import Result, Sink
from tests.support.kafka_topics import unique_name

Inbox = Callable[..., Result]


def problems(result: Result) -> dict[str, list[str]]:
    """What is wrong, by check."""
    checks = json.loads(result.out)["checks"]
    return {check["check"]: check["problems"] for check in checks if check["result"] != "ok"}


def test_a_sink_that_can_start_is_0(sink: Sink, inbox: Inbox) -> None:
    result = inbox("check", sink)
    assert result.code == 0, result.out
    told = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in told if "rights beyond need" not in line] == ["ok"] * 9


def test_a_sink_whose_role_owns_the_schema_is_advised_to_have_one_with_the_least_rights(
    sink: Sink, inbox: Inbox
) -> None:
    (advice,) = problems(inbox("check", "--json", sink))["rights beyond need"]
    assert "it owns the schema" in advice
    assert "`inbox migrate --roles`" in advice


def test_a_retention_that_the_owner_of_the_schema_overrules_is_told(sink: Sink, inbox: Inbox) -> None:
    sink.sql("INSERT INTO inbox.retention (claims, progress, dead_letters) VALUES ('60 d', '90 d', '90 d')")
    (advice,) = problems(inbox("check", "--json", sink))["retention"]
    assert advice.startswith("[retention] claims is shorter than the 60 days")


def test_json_says_the_same(sink: Sink, inbox: Inbox) -> None:
    told = json.loads(inbox("check", "--json", sink).out)
    assert told["ok"] is True
    assert told["checks"][0] == {"check": "configuration", "result": "ok", "problems": []}


def test_all_problems_are_told_at_once_each_with_its_remedy(sink: Sink, inbox: Inbox) -> None:
    sink.sql("DROP TABLE public.orders")
    sink.sql("DROP SCHEMA inbox CASCADE")
    sink.configure(topic="nobody.made.this")
    sink.config.write_text(sink.config.read_text() + '[[routes]]\ntopic = "t"\nhandler = "nobody_wrote_this"\n')

    result = inbox("check", "--json", sink)

    assert result.code == 1
    found = problems(result)
    assert list(found) == [
        "handler of route nobody_wrote_this",
        "schema inbox",
        "table of route public.orders",
        "topic nobody.made.this",
        "topic t",
        "ledger",
    ]
    assert all("; " in problem for problems in list(found.values())[:-1] for problem in problems)


def test_a_table_of_the_inbox_that_is_gone_is_named(sink: Sink, inbox: Inbox) -> None:
    sink.sql("DROP TABLE inbox.replay_ranges")

    result = inbox("check", "--json", sink)

    assert result.code == 1
    assert problems(result)["rights in the database"] == [
        'the table "inbox"."replay_ranges" is gone; restore it from a backup'
    ]


@pytest.mark.parametrize("revision", ["0001", "0004", "0005", "0007"])
def test_a_schema_of_an_earlier_version_is_one_problem(sink: Sink, inbox: Inbox, revision: str) -> None:
    assert inbox("migrate", "--to", revision, sink).code == 0

    result = inbox("check", "--json", sink)

    assert result.code == 1
    (problem,) = [each["problems"] for each in json.loads(result.out)["checks"] if each["result"] == "failed"]
    assert "run `inbox migrate`" in problem[0]


def test_servers_that_are_away_leave_the_rest_unchecked(sink: Sink, inbox: Inbox) -> None:
    sink.configure(database_url="postgresql://inbox@127.0.0.1:1/inbox", bootstrap_servers="127.0.0.1:1")
    result = inbox("check", sink)
    assert result.code == 1
    assert [line.split("  ")[0] for line in result.out.splitlines()] == [
        *(
            "ok",
            "failed",
            "not checked",
            "not checked",
            "not checked",
            "failed",
            "not checked",
            "not checked",
            "not checked",
        )
    ]


def test_a_missing_right_comes_with_its_grant(sink: Sink, inbox: Inbox) -> None:
    user = unique_name("user")
    sink.sql(f"CREATE ROLE {user} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA inbox TO {user}")
    sink.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA inbox TO {user}; GRANT ALL ON public.orders TO {user}")
    try:
        sink.configure(database_url=as_user(sink.database_url, user))
        told = problems(inbox("check", "--json", sink))["rights in the database"]
        assert (
            f'the sink\'s role lacks INSERT on "inbox"."processed"; GRANT INSERT ON "inbox"."processed" TO {user}'
            in told
        )
    finally:
        sink.sql(f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_a_log_that_does_not_fit_the_ledger_is_told(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql("UPDATE inbox.partitions SET next_offset = 99")

    told = problems(inbox("check", "--json", sink))

    assert [line.split(" next,")[0] for line in told["ledger"]] == [
        f"{sink.topic}[{partition}]: the ledger expects offset 99" for partition in (0, 1)
    ]


def test_a_schema_of_another_sink_is_told(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.configure(name="another")
    told = problems(inbox("check", "--json", sink))
    assert f'belongs to sink "{sink.name}"' in told["ledger"][0]


def test_nothing_is_changed(sink: Sink, inbox: Inbox) -> None:
    assert inbox("check", sink).code == 0
    assert sink.sql("SELECT count(*) FROM inbox.sink") == [(0,)]
    assert sink.sql("SELECT count(*) FROM inbox.partitions") == [(0,)]


def test_a_configuration_that_cannot_be_used_is_3(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text("[sink]\nnaem = 1\n")
    result = inbox("check", "--json", sink)
    assert (result.code, result.out) == (3, "")


def test_a_database_that_is_not_there_is_told(sink: Sink, inbox: Inbox) -> None:
    sink.configure(database_url=with_database(sink.database_url, "nobody_made_this"))
    told = problems(inbox("check", "--json", sink))
    assert "check the database's name in [database] url, or create it" in told["database"][0]


def as_user(url: str, user: str) -> str:
    """The same database for another role."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:pw@{rest.rpartition('@')[2]}"


def with_key_as_id(sink: Sink, *changes: tuple[str, str]) -> None:
    text = sink.config.read_text().replace("[routes.table]", 'event_id = "key"\n[routes.table]')
    for old, new in changes:
        text = text.replace(old, new)
    sink.config.write_text(text)


def test_a_route_that_would_apply_one_event_of_each_key_is_told(sink: Sink, inbox: Inbox) -> None:
    """Legitimate where each event has a key of its own, so that it is advice."""
    with_key_as_id(sink)

    checked, ran = inbox("check", "--json", sink), inbox("run", "--until-end", sink)

    told = next(each for each in json.loads(checked.out)["checks"] if each["check"] == "ids of events")
    assert (checked.code, told["result"]) == (0, "advice")
    assert 'with event_id = "key" a key has one event, ever' in told["problems"][0]
    assert ran.code == 0
    assert "event-id-advice" in ran.err


def test_events_in_plain_text_from_another_machine_are_advice(sink: Sink, inbox: Inbox, bootstrap_servers: str) -> None:
    sink.configure(bootstrap_servers=f"{bootstrap_servers},elsewhere.invalid:9092")

    checked = inbox("check", "--json", sink)

    assert checked.code == 0, checked.out
    [problem] = problems(checked)["way to the brokers"]
    assert problem.startswith("every event travels to elsewhere.invalid in plain text")


def test_a_route_that_can_never_overwrite_or_delete_is_refused(sink: Sink, inbox: Inbox) -> None:
    with_key_as_id(sink, ('order_id = "/order_id"', 'order_id = "$key"'))
    for command in ("check", "run"):
        refused = inbox(command, sink)
        assert refused.code == 3
        assert 'so mode "upsert" would never overwrite a row' in refused.err


def test_a_route_whose_tombstones_would_be_filtered_is_refused(sink: Sink, inbox: Inbox) -> None:
    text = sink.config.read_text().replace(
        "[routes.table]", 'types = ["A"]\nevent_type = "value:/type"\n[routes.table]'
    )
    sink.config.write_text(text.replace('mode = "upsert"', 'mode = "upsert"\ntombstones = "delete"'))
    for command in ("check", "run"):
        refused = inbox(command, sink)
        assert refused.code == 3
        assert "a tombstone has no value, so it has no type at /type either" in refused.err


def test_a_schema_file_that_cannot_be_used_fails(sink: Sink, inbox: Inbox, tmp_path: Path) -> None:
    file = tmp_path / "order.avsc"
    file.write_text('{"type": "recrd", "name": "Order"}')
    with_schema = f'[[routes]]\nformat = "avro"\nschema_file = "{file}"\n'
    sink.config.write_text(sink.config.read_text().replace("[[routes]]\n", with_schema, 1))

    result = inbox("check", "--json", sink)

    assert result.code == 1
    assert problems(result)["format of route public.orders"] == [
        f'{file} cannot be used: the type "recrd" is not defined'
    ]
