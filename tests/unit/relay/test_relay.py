"""What a relay says while one row cannot be sent, and when that is over."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inbox.errors import TryAgainError
from inbox.relay.lease import Lease
from inbox.relay.relay import Relay
from inbox.store.outbox.relay_queries import TakenLease
from inbox.telemetry import OUTBOX_PENDING, PAUSED
from tests.support.log_lines import capture_logs

STUCK = TryAgainError("the topic is gone", away="kafka", reason="topic")


class Script:
    """What the terms of a relay come to, one after the other; a term that ends the script stops the relay."""

    def __init__(self, *terms: "Term | None") -> None:
        self.terms = list(terms)
        self.epoch = 0
        self.stop: Callable[[], None] = lambda: None

    def take(self) -> TakenLease | None:
        if not self.terms:
            self.stop()
            return None
        term = self.terms[0]
        if term is None:
            self.terms.pop(0)
            self.epoch += 1  # the other relay's
            return None
        self.epoch += 1
        return TakenLease(self.epoch, 0)

    @property
    def lease(self) -> "Script":
        return self

    def term(self, lease: Lease, held: TakenLease) -> "Term":
        term = self.terms.pop(0)
        assert term is not None
        return term

    def close(self) -> None: ...


class Term:
    """A term: after its turns it fails, or is idle until the relay is stopped."""

    def __init__(self, *, fails: bool = False, has_sent: bool = False, swept: bool = True) -> None:
        self.fails = fails
        self.has_sent = has_sent
        self.swept = swept
        self.stop: Callable[[], None] = lambda: None

    def turn(self) -> bool:
        OUTBOX_PENDING.set(5)
        if self.fails:
            raise STUCK
        return self.has_sent

    def rest(self) -> None:
        self.stop()

    def sweep_all(self) -> bool:
        return self.swept

    def end(self, *, in_order: bool) -> None: ...


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


def relay(*terms: Term | None) -> Relay:
    script, now = Script(*terms), iter(float(each) for each in range(10_000))
    made = Relay(lambda: script, until_empty=False, clock=lambda: 10 * next(now))
    script.stop = made.stop
    for term in terms:
        if term is not None:
            term.stop = made.stop
    return made


def paused() -> float:
    return float(PAUSED.labels("kafka")._value.get())


def told(lines: list[Any]) -> list[str]:
    return [line["event"] for line in lines]


def test_a_row_that_cannot_be_sent_is_told_once_and_its_end_once(lines: list[Any]) -> None:
    relay(*(Term(fails=True) for _ in range(5)), Term()).run()
    assert told(lines) == ["relay-active", "outage", "outage-over"]


def test_what_waits_behind_it_is_still_counted(lines: list[Any]) -> None:
    made = relay(Term(fails=True))
    counted: list[float] = []
    script_stop = made._wait_out

    def wait_out(error: TryAgainError) -> None:
        counted.append(OUTBOX_PENDING._value.get())
        script_stop(error)

    made._wait_out = wait_out  # type: ignore[method-assign]
    made.run()
    assert counted == [5]
    assert math.isnan(OUTBOX_PENDING._value.get()), "a standby counts nothing"


def test_a_standby_waits_for_nothing(lines: list[Any]) -> None:
    """The row that it failed at is the other relay's to send."""
    made = relay(Term(fails=True), None)
    made.run()
    assert made.progress.waiting_for is None
    assert paused() == 0


def test_a_relay_that_was_replaced_says_that_it_is_active_again(lines: list[Any]) -> None:
    relay(Term(fails=True), None, Term()).run()
    assert told(lines) == ["relay-active", "outage", "relay-active"]


def test_a_row_that_is_gone_holds_the_relay_no_longer(lines: list[Any]) -> None:
    made = relay(Term(fails=True), Term())
    made.run()
    assert (told(lines)[-1], made.progress.waiting_for) == ("outage-over", None)


def test_an_idle_turn_that_missed_rows_is_no_end_of_the_outage(lines: list[Any]) -> None:
    made = relay(Term(fails=True), Term(swept=False))
    made.run()
    assert told(lines) == ["relay-active", "outage"]


def test_a_relay_that_is_stopped_while_it_waits_leaves_no_outage(lines: list[Any]) -> None:
    made = relay(Term(fails=True), Term(swept=False))
    seen: list[float] = []
    wait_out = made._wait_out

    def waits(error: TryAgainError) -> None:
        wait_out(error)
        seen.append(paused())

    made._wait_out = waits  # type: ignore[method-assign]
    made.run()
    assert (seen, paused()) == ([1], 0)
