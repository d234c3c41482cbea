"""What `inbox history` lists: each command that changed something, by whom, with plan and result."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from inbox.operations.actions import Action, recorded
from inbox.settings import Settings
from inbox.store.store import open_store
from tests.integration.sink.conftest import Fussy
from tests.support.sink.running import Sink

History = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def history(parked: Sink, capsys: pytest.CaptureFixture[str]) -> History:
    """Reads `inbox history --json` of the sink `parked`, without the migration that made its tables."""

    def read(*arguments: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert parked.command("history", "--json", *arguments) == 0
        return [each for each in json.loads(capsys.readouterr().out)["actions"] if each["command"] != "migrate"]

    return read


def test_each_command_leaves_who_what_and_the_result(parked: Sink, fussy: Fussy, history: History) -> None:
    fussy.refused = {4, 5}
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute", "--by", "Ann") == 1
    assert parked.command("dead-letters", "discard", "--all", "--execute", "--by", "Bob") == 0
    assert parked.command("replay", "--topic", parked.topic, "--from-earliest", "--execute", "--by", "Cy") == 0
    assert parked.command("replay", "cancel", "1", "--execute") == 0
    assert parked.command("prune", "--execute") == 0

    found = history()
    assert [(each["command"], each["requested_by"]) for each in found[:3]] == [
        ("dead-letters retry", "Ann"),
        ("dead-letters discard", "Bob"),
        ("replay", "Cy"),
    ]
    assert [each["command"] for each in found[3:]] == ["replay cancel", "prune"]
    assert found[0]["result"] == {"keys": 1, "applied": 2, "duplicate": 0, "filtered": 0, "failed": 1}
    assert found[1]["result"] == {"discarded": 2}
    assert found[2]["plan"]["ranges"] == [
        {"topic": parked.topic, "partition": 0, "from_offset": 0, "until_offset": 5},
    ]
    assert found[2]["result"] == {"replay_id": 1}
    assert all(each["ended_at"] for each in found)
    assert [each["command"] for each in history("--last", "1")] == ["prune"]


def test_a_plan_that_is_not_executed_leaves_nothing(parked: Sink, history: History) -> None:
    parked.command("dead-letters", "retry", "--all")
    parked.command("dead-letters", "discard", "--all")
    parked.command("replay", "--topic", parked.topic, "--from-earliest")
    parked.command("prune")
    assert history() == []


def test_what_people_read_holds_neither_key_nor_value_nor_error(
    parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    fussy.refused = {1}
    parked.command("dead-letters", "retry", "--key", "a", "--error", "is refused", "--execute", "--by", "Ann")
    capsys.readouterr()
    assert parked.command("history") == 0
    told = capsys.readouterr().out
    assert "dead-letters retry" in told
    assert "Ann" in told
    stored = parked.column("SELECT plan::text || result::text FROM inbox.actions WHERE command LIKE 'dead%%'")
    assert not [part for part in ("refused", '"a"', '"n"') if part in told + "".join(stored)]


def test_an_action_that_ends_with_an_error_says_so(parked: Sink, history: History) -> None:
    settings: Settings = parked.settings()

    def fail() -> None:
        with (
            open_store(settings.database, command="test", doing="testing") as store,
            recorded(lambda: store, Action(command="adopt", plan={"route": "r"}, by="Ann")) as result,
        ):
            result["ids"] = 3
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the error passes through
        fail()
    assert history()[-1]["result"] == {"ids": 3, "ended_by": "ValueError"}


def test_what_a_killed_process_leaves_has_not_ended(parked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    parked.sql("INSERT INTO inbox.actions (requested_by, command, plan) VALUES ('Ann', 'prune', '{}')")
    capsys.readouterr()
    assert parked.command("history") == 0
    assert "not ended" in capsys.readouterr().out


def test_a_command_that_is_killed_leaves_what_it_did_so_far(
    parked: Sink, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: Settings = parked.settings()
    with (
        open_store(settings.database, command="test", doing="testing") as store,
        recorded(lambda: store, Action(command="dead-letters retry", plan={"keys": 9}, by="Ann")) as result,
    ):
        result.add(keys=4, applied=7)
        result.keep()
        assert (history()[-1]["result"], history()[-1]["ended_at"]) == ({"keys": 4, "applied": 7}, None)
        assert parked.command("history") == 0
        assert "not ended; so far keys 4, applied 7" in capsys.readouterr().out
        result.add(keys=5)
    assert history()[-1]["result"] == {"keys": 9, "applied": 7}
    assert history()[-1]["ended_at"] is not None


def test_the_database_itself_notes_the_login(parked: Sink, history: History) -> None:
    assert parked.command("prune", "--execute") == 0
    assert history()[0]["database_user"] == parked.column("SELECT session_user::text")[0]
