"""Events that are larger than `[sink] largest_event`: parked without their value, which the log has."""

from collections.abc import Callable

import pytest

from inbox.events import Event
from inbox.handlers import Transaction
from tests.integration.sink.conftest import HANDLER_ROUTE
from tests.support.sink.running import Out, Sink

LARGE = {"note": "x" * 3000}


def note(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


def effects(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


@pytest.fixture
def large(handled_by: Callable[..., Sink]) -> Sink:
    """A sink that ran: event 2 of key a is too large, event 3 of its key waits."""
    sink = handled_by(note, sink='largest_event = "2 KiB"')
    sink.send(Out(1, key="a"), Out(2, LARGE, key="a", headers={"type": "Made"}), Out(3, key="a"), Out(4, key="b"))
    sink.run()
    return sink


def test_an_event_that_is_too_large_is_parked_without_its_value(large: Sink) -> None:
    assert effects(large) == [1, 4]
    assert large.dead_letters() == [(1, "parked"), (2, "waiting")]
    [row] = large.sql(
        "SELECT event_id::text, key, value, jsonb_array_length(headers), error_class FROM inbox.dead_letters "
        "WHERE state = 'parked'"
    )
    assert row == ("00000000-0000-0000-0000-000000000002", b"a", b"", 2, "EventTooLargeError")
    assert "so only the log has its value" in large.dead_letter_errors()[0]
    assert large.next_offsets() == {0: 4}


def test_it_cannot_be_retried_from_its_dead_letter(large: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    assert large.command("dead-letters", "retry", "--all", "--execute") == 1
    assert "failed again: the event has 3" in capsys.readouterr().out
    assert effects(large) == [1, 4]
    assert large.dead_letters() == [(1, "parked"), (2, "waiting")]


def test_people_see_that_the_log_alone_has_it(large: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    [letter] = large.column("SELECT dead_letter_id FROM inbox.dead_letters WHERE state = 'parked'")
    assert large.command("dead-letters", "show", str(letter), "--payload") == 0
    assert "value: in the log only" in capsys.readouterr().out.splitlines()


def test_the_way_that_its_error_names_applies_it_and_what_waits_behind_it(large: Sink) -> None:
    large.configure(HANDLER_ROUTE)
    at = ("--topic", f"{large.topic}:0", "--from-offset", "1", "--until-offset", "2")
    assert large.command("replay", *at, "--execute") == 0
    large.run()
    assert effects(large) == [1, 4, 2]
    assert large.dead_letters() == [(1, "retried"), (2, "waiting")]
    assert large.command("dead-letters", "retry", "--all", "--execute") == 0
    assert effects(large) == [1, 4, 2, 3]
    assert large.column("SELECT DISTINCT state FROM inbox.dead_letters ORDER BY 1") == ["retried"]
