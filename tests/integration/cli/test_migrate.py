"""`inbox migrate`"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from inbox.store.schema.compatibility import head_revision
from tests.integration.cli.conftest import Result, Sink

Inbox = Callable[..., Result]


@pytest.fixture
def unmigrated(sink: Sink) -> Sink:
    """The sink on a schema that nobody has migrated."""
    sink.sql("DROP SCHEMA inbox CASCADE")
    return sink


def test_migrate_works_once_and_then_finds_nothing_to_do(unmigrated: Sink, inbox: Inbox) -> None:
    first, second = inbox("migrate", unmigrated), inbox("migrate", unmigrated)
    assert (first.code, first.out.splitlines()[0]) == (0, 'the schema "inbox" was brought from')
    assert (second.code, second.out) == (0, 'the schema "inbox" is up to date\n')


def test_check_says_what_would_run_with_1_and_changes_nothing(unmigrated: Sink, inbox: Inbox) -> None:
    for _ in range(2):
        result = inbox("migrate", "--check", unmigrated)
        assert result.code == 1
        assert "  base -> 0001" in result.out.splitlines()


def test_check_of_a_current_schema_is_0(sink: Sink, inbox: Inbox) -> None:
    assert inbox("migrate", "--check", sink) == (0, 'the schema "inbox" is up to date\n', "")


def test_a_waiting_check_ends_once_another_process_has_migrated(unmigrated: Sink, inbox: Inbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(inbox, "migrate", "--check", "--wait", "2m", unmigrated)
        assert inbox("migrate", unmigrated).code == 0
        assert waiting.result() == (0, 'the schema "inbox" is up to date\n', "")


def test_a_waiting_check_gives_up_after_its_time(unmigrated: Sink, inbox: Inbox) -> None:
    result = inbox("migrate", "--check", "--wait", "0s", unmigrated)
    assert (result.code, "  base -> 0001" in result.out) == (1, True)


def test_a_wait_without_check_is_a_mistake(unmigrated: Sink, inbox: Inbox) -> None:
    result = inbox("migrate", "--wait", "2m", unmigrated)
    assert (result.code, "add --check" in result.err) == (2, True)


def test_check_foresees_what_migrate_does(unmigrated: Sink, inbox: Inbox) -> None:
    for to in ("head", "base", "0001", "base"):
        foreseen = json.loads(inbox("migrate", "--check", "--json", "--to", to, unmigrated).out)
        done = json.loads(inbox("migrate", "--json", "--to", to, unmigrated).out)
        assert foreseen == {**done, "applied": False}
        assert done["steps"]


def test_json_tells_the_steps(unmigrated: Sink, inbox: Inbox) -> None:
    told = json.loads(inbox("migrate", "--json", unmigrated).out)
    assert (told["schema"], told["applied"]) == ("inbox", True)
    assert told["steps"][0]["from"] is None
    assert told["steps"][-1]["to"] == head_revision()


def test_to_goes_back(sink: Sink, inbox: Inbox) -> None:
    assert inbox("migrate", "--to", "base", sink).code == 0
    assert inbox("migrate", "--check", sink).code == 1


def test_an_unknown_revision_is_3(sink: Sink, inbox: Inbox) -> None:
    result = inbox("migrate", "--to", "9999", sink)
    assert result.code == 3
    assert 'inbox: there is no revision "9999"; this version knows' in result.err


def test_sql_is_printed_alone_and_needs_no_database(sink: Sink, inbox: Inbox) -> None:
    sink.configure(database_url="postgresql://inbox@127.0.0.1:1/inbox")
    result = inbox("migrate", "--sql", sink)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("CREATE SCHEMA IF NOT EXISTS inbox;")


def test_migrate_needs_the_database_section_alone(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text(f'[database]\nurl = "{sink.database_url}"\n')
    assert inbox("migrate", sink).code == 0
