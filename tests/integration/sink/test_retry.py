"""Dead letters retried and discarded while the sink runs, on real servers."""

from collections.abc import Callable

import pytest

from inbox.errors import EventError
from inbox.events import Event
from inbox.handlers import Transaction
from tests.integration.sink.running import Out, Sink


class Fussy:
    """A handler that refuses the numbers in `refused`, and notes what it applies in order."""

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.tries = 0

    def __call__(self, event: Event, tx: Transaction) -> None:
        self.tries += 1
        number = event.json()["n"]
        if number in self.refused:
            raise EventError(f"number {number} is refused")
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (number, (event.key or b"none").decode()))


@pytest.fixture
def fussy() -> Fussy:
    return Fussy()


@pytest.fixture
def parked(handled_by: Callable[..., Sink], fussy: Fussy) -> Sink:
    """Of key a the first is parked and two wait; key b is applied; one without a key is parked."""
    sink = handled_by(fussy)
    fussy.refused = {1, 5}
    sink.send(event(1, "a"), event(2, "a"), event(3, "b"), event(4, "a"), event(5, None))
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    return sink


def event(number: int, key: str | None) -> Out:
    return Out(number, {"n": number}, key)


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def states(sink: Sink) -> dict[str, int]:
    return dict(sink.sql("SELECT state, count(*)::int FROM inbox.dead_letters GROUP BY state"))


def id_at(sink: Sink, offset: int) -> str:
    [found] = sink.column("SELECT dead_letter_id FROM inbox.dead_letters WHERE kafka_offset = %s", [offset])
    return str(found)


def test_a_retry_applies_the_events_of_a_key_in_order(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = {5}
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute", "--by", "ada") == 0
    assert applied(parked) == [3, 1, 2, 4]
    assert states(parked) == {"retried": 3, "parked": 1}
    assert set(parked.column("SELECT resolved_by FROM inbox.dead_letters WHERE state = 'retried'")) == {"ada"}
    assert parked.column("SELECT count(*) FROM inbox.processed") == [4]


def test_without_execute_nothing_is_changed(parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]) -> None:
    fussy.refused = set()
    before = parked.sql("SELECT * FROM inbox.dead_letters"), parked.sql("SELECT * FROM inbox.partitions")
    tries = fussy.tries
    capsys.readouterr()
    assert parked.command("dead-letters", "retry", "--all") == 0
    out = capsys.readouterr().out
    assert "would apply 3 events, route handler, " + parked.topic + '[0], key "a" from offset 0' in out
    assert "2 of them waiting behind the first" in out
    assert "would apply dead letter" in out
    assert "nothing was changed; add --execute to do it" in out
    assert before == (parked.sql("SELECT * FROM inbox.dead_letters"), parked.sql("SELECT * FROM inbox.partitions"))
    assert fussy.tries == tries


def test_a_retry_stops_at_the_first_that_fails_again(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = {2}
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 1
    assert applied(parked) == [3, 1]
    assert parked.dead_letters() == [(0, "retried"), (1, "parked"), (3, "waiting"), (4, "parked")]
    assert parked.dead_letter_errors()[1] == "number 2 is refused"
    assert parked.column("SELECT attempts FROM inbox.dead_letters WHERE kafka_offset = 1") == [1]
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 1
    assert parked.column("SELECT attempts FROM inbox.dead_letters WHERE kafka_offset = 1") == [2]
