"""`inbox dead-letters`, as a person or a script meets it."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.integration.sink.conftest import HANDLER_ROUTE, Fussy
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Letters = Callable[..., Result]


@pytest.fixture
def letters(parked: Sink, capsys: pytest.CaptureFixture[str]) -> Letters:
    """Runs `inbox dead-letters` on the sink `parked`: `letters("list", "--json")`."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        return Result(parked.command("dead-letters", *map(str, arguments)), *capsys.readouterr())

    return run


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.out.splitlines()]


def ids(sink: Sink) -> list[int]:
    return sink.column("SELECT dead_letter_id FROM inbox.dead_letters ORDER BY kafka_offset")


# Causes.


def cause_of(sink: Sink, offset: int) -> str:
    return str(sink.sql("SELECT cause FROM inbox.dead_letters WHERE kafka_offset = %s", [offset])[0][0])


def test_causes_groups_what_failed_alike(parked: Sink, letters: Letters) -> None:
    [cause] = objects(letters("causes", "--json"))[0]["causes"]
    first = ids(parked)[0]
    assert {name: cause[name] for name in ("kind", "route", "error", "parked", "keys", "topics", "example")} == {
        "kind": "handler",
        "route": "handler",
        "error": "number # is refused",
        "parked": 2,
        "keys": 2,
        "topics": [parked.topic],
        "example": first,
    }
    assert cause["next"] == f"inbox dead-letters retry --cause {cause['cause']}"
    text = letters("causes").out
    assert "2 parked events, 1 cause" in text
    assert f"inbox dead-letters show {first}" in text
    assert cause["next"] in text


def test_each_event_without_a_key_counts_as_a_key_of_its_cause(parked: Sink, letters: Letters) -> None:
    parked.sql("UPDATE inbox.dead_letters SET key = NULL WHERE state = 'parked'")
    assert objects(letters("causes", "--json"))[0]["causes"][0]["keys"] == 2
    parked.sql("UPDATE inbox.dead_letters SET cause = NULL WHERE state = 'parked'")
    assert objects(letters("causes", "--json"))[0]["causes"][0]["keys"] == 2


def test_a_retry_that_fails_again_reports_no_event_as_newly_parked(parked: Sink, letters: Letters) -> None:
    with capture_logs() as lines:
        assert letters("retry", "--all", "--execute").code == 1
    assert [line["event"] for line in lines] == []


def test_what_an_earlier_version_parked_has_a_cause_too(parked: Sink, letters: Letters) -> None:
    cause = cause_of(parked, 0)
    parked.sql("UPDATE inbox.dead_letters SET cause = NULL, cause_kind = NULL WHERE kafka_offset = 4")
    [found] = objects(letters("causes", "--json"))[0]["causes"]
    assert (found["cause"], found["parked"]) == (cause, 2)
    assert [each["offset"] for each in objects(letters("list", "--cause", cause, "--json"))] == [0, 4]


def test_a_cause_selects_what_a_discard_gives_up(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    parked.sql("UPDATE inbox.dead_letters SET cause = 'another' WHERE kafka_offset = 4")
    assert letters("discard", "--cause", cause_of(parked, 0), "--execute").code == 0
    assert parked.dead_letters() == [(0, "discarded"), (1, "waiting"), (3, "waiting"), (4, "parked")]


def test_a_retry_that_fails_with_another_error_has_another_cause(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    before = cause_of(parked, 0)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    fussy.refused = _Failing(fail)
    assert letters("retry", "--cause", before, "--execute").code == 1
    assert cause_of(parked, 0) != before
    assert letters("list", "--cause", before).out.strip() == "no dead letter fits"


class _Failing(set[int]):
    """A set that calls a function when it is asked for a member."""

    def __init__(self, action: Callable[..., None]) -> None:
        self._action = action

    def __contains__(self, number: object) -> bool:
        self._action(number)
        return False


def test_no_parked_event_has_no_cause(parked: Sink, letters: Letters) -> None:
    letters("discard", "--all", "--execute")
    assert letters("causes").out.strip() == "no event is parked; `inbox audit` accounts for every event"


# Listing and showing.


def test_the_list_is_a_json_object_a_line_in_the_order_of_keys(parked: Sink, letters: Letters) -> None:
    result = letters("list", "--json")
    found = objects(result)
    assert result.code == 0
    assert [(each["key"], each["offset"], each["state"]) for each in found] == [
        ("a", 0, "parked"),
        ("a", 1, "waiting"),
        ("a", 3, "waiting"),
        (None, 4, "parked"),
    ]
    assert list(found[0]) == [
        *("id", "state", "route", "topic", "partition", "offset", "timestamp", "event_id", "type", "key"),
        *(
            "error_class",
            "error",
            "cause",
            "attempts",
            "created_at",
            "updated_at",
            "resolved_at",
            "resolved_by",
            "edited_at",
            "edited_by",
            "redacted_at",
        ),
    ]
    assert found[0]["error"] == "number 1 is refused"
    assert found[0]["topic"] == parked.topic
    assert found[0]["event_id"] == "00000000-0000-0000-0000-000000000001"


def test_payloads_are_shown_only_where_they_are_asked_for(letters: Letters) -> None:
    assert "payload" not in objects(letters("list", "--json"))[0]
    payload = objects(letters("list", "--json", "--payload"))[0]["payload"]
    assert list(payload) == ["key", "value", "headers", "error_detail"]
    assert (b64decode(payload["key"]), b64decode(payload["value"])) == (b"a", b'{"n": 1}')
    assert [name for name, _ in payload["headers"]] == ["event_id"]
    assert '{"n"' not in letters("list").out


def test_people_get_a_table(parked: Sink, letters: Letters) -> None:
    result = letters("list")
    assert (result.code, result.err) == (0, "")
    assert result.out.count(f"{parked.topic}[0]@") == 4
    assert "number 1 is refused" in result.out


def test_one_letter_is_shown_with_its_error_and_what_that_came_from(parked: Sink, letters: Letters) -> None:
    parked.sql("UPDATE inbox.dead_letters SET error = E'no stock\\nKeyError: sku'")
    first = ids(parked)[0]
    result = letters("show", first)
    assert result.code == 0
    assert "error:        EventError: no stock\n              from KeyError: sku" in result.out
    assert '"n"' not in result.out
    assert 'value: {"n": 1}' in letters("show", first, "--payload").out
    [told] = objects(letters("show", first, "--json"))
    assert (told["id"], told["error"]) == (first, "no stock\nKeyError: sku")


def test_a_key_that_is_no_text_is_shown_and_found_by_its_bytes(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    fussy.refused |= {7, 8}
    parked.send(Out(7, {"n": 7}, b"\x00\xff"), Out(8, {"n": 8}, "\\x00ff"))
    parked.run()
    shown = [each["key"] for each in objects(letters("list", "--json", "--error", "number"))]
    assert shown == ["\\x00ff", "\\x5c7830306666", "a", None]
    assert [each["offset"] for each in objects(letters("list", "--json", "--key", "\\x00ff"))] == [5]
    assert letters("list", "--key", "\\xyz").code == 2


def test_all_lists_those_that_were_resolved_too(parked: Sink, letters: Letters) -> None:
    letters("discard", ids(parked)[3], "--execute", "--by", "ada")
    assert len(objects(letters("list", "--json"))) == 3
    told = objects(letters("list", "--json", "--all"))
    assert [(each["state"], each["resolved_by"]) for each in told][-1] == ("discarded", "ada")
    assert len(told) == 4
    assert "nothing to do" in letters("retry", ids(parked)[3], "--execute").out
    assert f"dead letter {ids(parked)[3]} was discarded before, by ada" in letters("retry", ids(parked)[3]).err


# What is meant.


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_nothing_is_meant_where_nothing_is_named(letters: Letters, action: str) -> None:
    result = letters(action, "--execute")
    assert result.code == 2
    assert "name IDs, or a filter such as --topic, or --all" in result.err


@pytest.mark.parametrize("arguments", [("show", 99), ("list", 99), ("retry", 99), ("discard", 99, "--execute")])
def test_an_id_that_no_letter_has_is_told(letters: Letters, arguments: tuple[object, ...]) -> None:
    result = letters(*arguments)
    assert result.code == 1
    assert "inbox: there is no dead letter 99; `inbox dead-letters list --all` lists those that there are" in result.err


def test_with_an_unknown_id_among_them_nothing_is_done(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    fussy.refused = set()
    assert letters("retry", ids(parked)[0], 99, "--execute").code == 1
    assert parked.column("SELECT count(*) FROM effects") == [1]


@pytest.mark.parametrize("given", ["1", "yesterday", "-1h"])
def test_an_age_that_is_none_is_wrong_usage(letters: Letters, given: str) -> None:
    assert letters("list", "--older-than", given).code == 2


def test_filters_choose_what_is_retried(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    fussy.refused = set()
    assert "no open dead letter fits" in letters("retry", "--older-than", "1h", "--execute").out
    assert "no open dead letter fits" in letters("retry", "--topic", "other", "--execute").out
    assert letters("retry", "--route", "handler", "--error", "NUMBER 5", "--execute").code == 0
    assert parked.column("SELECT event FROM effects ORDER BY position") == [3, 5]


def test_a_route_that_the_configuration_lacks_is_told(parked: Sink, letters: Letters) -> None:
    parked.configure(HANDLER_ROUTE.replace("[[routes]]", '[[routes]]\nname = "renamed"'))
    result = letters("retry", "--all")
    assert result.code == 3
    assert "the configuration has no route handler, whose dead letters were selected" in result.err


# Scripts.


def test_a_plan_and_its_outcome_are_one_json_object(parked: Sink, fussy: Fussy, letters: Letters) -> None:
    fussy.refused = {2}
    result = letters("retry", "--key", "a", "--json")
    [plan] = objects(result)
    expected = {
        "route": "handler",
        "topic": parked.topic,
        "partition": 0,
        "key": "a",
        "first_offset": 0,
        "ids": ids(parked)[:3],
        "events": 3,
        "waiting": 2,
        "claimed": 0,
        "behind": 0,
    }
    shape = {"action": "retry", "executed": False, "keys": [expected], "unknown": [], "resolved": []}
    token = plan.pop("plan")
    assert token
    assert (result.code, plan) == (0, shape)
    result = letters("retry", "--key", "a", "--json", "--execute")
    [done] = objects(result)
    outcome = {
        "applied": 1,
        "duplicate": 0,
        "filtered": 0,
        "failed": [{"id": ids(parked)[1], "error": "number 2 is refused"}],
        "still_waiting": 1,
    }
    assert done.pop("plan") == token
    assert (result.code, done) == (1, {**shape, "executed": True, "keys": [{**expected, **outcome}]})


def test_a_discard_tells_scripts_what_stays(parked: Sink, letters: Letters) -> None:
    [done] = objects(letters("discard", ids(parked)[0], "--json", "--execute"))
    assert (done["keys"][0]["discarded"], done["keys"][0]["behind"]) == (1, 2)


def test_who_did_it_is_by_default_the_user_at_host_and_database(parked: Sink, letters: Letters) -> None:
    letters("discard", ids(parked)[0], "--execute")
    [by] = parked.column("SELECT resolved_by FROM inbox.dead_letters WHERE state = 'discarded'")
    user, at, rest = by.partition("@")
    assert user
    assert at
    assert "(database user " in rest


def test_status_counts_events_that_bear_the_id_of_another(parked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    parked.send(Out(3, {"n": 33}), Out(3, {"n": 3}))
    parked.run()
    capsys.readouterr()
    assert parked.command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["same_id_other_payload"] == 1
    parked.command("status")
    assert "1 events had the id of an applied event with another payload" in capsys.readouterr().out
    parked.command("dead-letters", "list", "--error", "with another payload")
    assert f"its event id was applied before, from {parked.topic}[0]@2, with another payload" in capsys.readouterr().out


def test_status_counts_parked_and_waiting(parked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert parked.command("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dead_letters"] == {"parked": 2, "waiting": 2}
