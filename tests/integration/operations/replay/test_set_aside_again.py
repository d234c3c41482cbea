"""A replay meets events that were set aside before: discarded, cut, redacted, or without an id."""

from collections.abc import Callable

import pytest

from inbox import Event, Transaction
from inbox.errors import EventError
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy, numbered
from tests.support.sink.running import Out, Sink

OF_A_TYPE = """
[[routes]]
topic = "TOPIC"
handler = "handler"
types = ["Made"]
event_type = "header:type"
"""


def replayed(sink: Sink, *more: str, mode: str = "force") -> None:
    assert sink.command("replay", "--topic", sink.topic, *more, "--mode", mode, "--execute") == 0
    sink.run()


@pytest.mark.parametrize("out", [Out(None, {"n": 2}), Out(None, {"n": 2}, "a")], ids=["without a key", "with a key"])
def test_a_forced_replay_goes_over_an_event_without_an_id(
    handled_by: Callable[..., Sink], fussy: Fussy, out: Out
) -> None:
    sink = handled_by(fussy)
    sink.send(numbered(1, "b"), out, numbered(3, "b"))
    sink.run()
    replayed(sink, "--from-earliest")
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.column("SELECT event FROM effects ORDER BY position") == [1, 3, 1, 3]


def test_a_discarded_event_does_not_wait_in_a_forced_replay(handled_by: Callable[..., Sink], fussy: Fussy) -> None:
    sink = handled_by(fussy, sink="batch_events = 1")
    fussy.refused = {2}
    sink.send(numbered(1, "a"), numbered(2, "a"))
    sink.run()
    assert sink.command("dead-letters", "discard", "--all", "--execute") == 0
    fussy.refused = {1}
    replayed(sink, "--from-earliest")
    assert sink.dead_letters() == [(0, "parked"), (1, "discarded")]


def test_an_event_of_another_payload_that_was_discarded_stays_so_in_a_replay(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    sink = handled_by(fussy)
    sink.send(Out(1, {"n": 1}), Out(1, {"n": 2}))
    sink.run()
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.command("dead-letters", "discard", "--all", "--execute") == 0
    replayed(sink, "--from-earliest", mode="skip-applied")
    assert sink.dead_letters() == [(1, "discarded")]
    assert sink.command("audit") == 0


def test_a_handler_never_receives_the_empty_rest_of_a_cut_event(handled_by: Callable[..., Sink]) -> None:
    seen: list[bytes | None] = []
    refuses = [False]

    def handler(event: Event, tx: Transaction) -> None:
        if refuses[0]:
            raise EventError("no")
        seen.append(event.value)

    sink = handled_by(handler, sink='largest_event = "2 KiB"')
    sink.send(Out(2, {"note": "x" * 3000}))
    sink.run()
    sink.configure(HANDLER_ROUTE)
    replayed(sink, "--from-earliest", mode="skip-applied")
    assert sink.dead_letters() == [(0, "retried")]
    refuses[0] = True
    replayed(sink, "--from-earliest")
    refuses[0] = False
    sink.command("dead-letters", "retry", "--all", "--execute")
    assert sink.dead_letters() == [(0, "parked")]
    assert b"" not in seen


@pytest.mark.parametrize("redacts", [True, False], ids=["redacted", "cut"])
def test_a_retry_does_not_close_a_dead_letter_whose_type_is_gone(
    sink: Sink, offer: Callable[..., None], fussy: Fussy, redacts: bool
) -> None:
    offer(handler=fussy)
    sink.configure(OF_A_TYPE, sink='largest_event = "2 KiB"')
    sink.sql(EFFECTS)
    fussy.refused = {1}
    sink.send(Out(1, {"n": 1}, headers={"type": "Made", "much": "x" * (0 if redacts else 3000)}))
    sink.run()
    if redacts:
        assert sink.command("dead-letters", "redact", "1", "--execute") == 0
    fussy.refused = set()
    sink.command("dead-letters", "retry", "--all", "--execute")
    assert sink.dead_letters() == [(0, "parked")]
