"""One term of a relay whose database and brokers answer when the test says so."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from inbox.relay import gap_tracker, outbox_reader
from inbox.relay.lease import SECONDS, Lease
from inbox.relay.producer import Delivered, Headers
from inbox.relay.term import OutboxTerm
from inbox.store.outbox.relay_queries import Delivery, OutboxReading, OutboxRow, TakenLease
from inbox.telemetry import OUTBOX_PENDING


def row(position: int) -> OutboxRow:
    return OutboxRow(position, f"id-{position}", "orders", "a", "T", b"{}", None, bytes(16), False, 1)


class Outbox:
    """Holds committed rows; what is asked of it is answered at `answer`, as of when it was asked."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.marked: set[int] = set()
        self.asked: list[tuple[int, list[tuple[int, int]]]] = []
        self.xmin = 1
        self._found: list[int] | None = None
        self.answers = True

    @property
    def is_reading(self) -> bool:
        return self._found is not None

    def start_reading(self, front: int, gaps: Sequence[tuple[int, int]], *, limit: int, limit_bytes: int) -> None:
        assert self._found is None
        self.asked.append((front, list(gaps)))
        self._found = [
            each
            for each in sorted(set(self.committed) - self.marked)
            if each > front or any(first <= each <= last for first, last in gaps)
        ][:limit]

    def has_read(self) -> bool:
        return self.answers

    def reading(self) -> OutboxReading:
        found, self._found = self._found, None
        return OutboxReading(self.xmin, [row(each) for each in found or ()])

    def sweep(self, after: int, until: int, *, limit: int) -> tuple[int | None, int | None]:
        return None, None

    def last_position(self) -> int:
        return max(self.committed, default=0)


class Marks:
    """The lease's row; a statement is done at `answer`, and what it marked is seen by readings that begin later."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.asked: list[tuple[list[int], int]] = []
        self.under_way: list[int] | None = None
        self.answers = True
        self.is_lost = False

    @property
    def is_recording(self) -> bool:
        return self.under_way is not None

    def start_recording(self, epoch: int, sent: Sequence[Delivery], sent_below: int) -> None:
        assert self.under_way is None, "two statements at once"
        self.under_way = [each.row.position for each in sent]
        self.asked.append((self.under_way, sent_below))

    def has_recorded(self) -> bool:
        return self.answers

    def recorded(self) -> int | None:
        self._outbox.marked.update(self.under_way or ())
        self.under_way = None
        return None if self.is_lost else 100

    def release(self, epoch: int) -> None:
        """Nobody else wants it."""

    @property
    def marked(self) -> list[int]:
        return [each for positions, _ in self.asked for each in positions]


class Brokers:
    """Takes messages; their reports come with the poll after `deliver`."""

    def __init__(self, *, in_transactions: bool = False) -> None:
        self.in_transactions = in_transactions
        self.sent: list[int] = []
        self._tokens: list[int] = []
        self._due = 0
        self.committed = 0
        self.patience = 0.0

    def __call__(self, delivered: Delivered) -> "Brokers":
        self._delivered = delivered
        return self

    def deliver(self, count: int) -> None:
        self._due += count

    def deliver_last(self, count: int) -> None:
        """The reports of those that were sent last come first."""
        self._tokens = self._tokens[-count:] + self._tokens[:-count]
        self._due += count

    def may_share(self, topic: str, key: str) -> bool:
        return True

    def send(self, token: int, topic: str, key: str, value: bytes | None, headers: Headers) -> None:
        self.sent.append(int(str(headers[0][1]).removeprefix("id-")))
        self._tokens.append(token)

    def poll(self, seconds: float) -> None:
        self.patience = seconds
        while self._due and self._tokens:
            self._due -= 1
            self._delivered(self._tokens.pop(0), 0, 7)

    def begin(self) -> None:
        """A transaction."""

    def commit(self) -> None:
        self.committed += 1

    def discard(self) -> None:
        self._tokens.clear()


class Silence:
    """Nobody rings."""

    def fall_asleep(self) -> bool:
        return False

    def wait(self, seconds: float) -> None:
        """Nothing to wait for."""

    def wake_up(self) -> None:
        """It never sleeps."""


class Stage:
    """A term with its surroundings; each `turn` is a second later than is needed for marks to be due."""

    def __init__(self, **brokers: Any) -> None:
        self.now = 0.0
        self.outbox = Outbox()
        self.marks = Marks(self.outbox)
        self.brokers = Brokers(**brokers)
        self.lease = Lease()
        self.lease.taken(1, 0.0)
        self.term = OutboxTerm(
            self.outbox, self.marks, Silence(), self.lease, TakenLease(1, 0), self.brokers, clock=lambda: self.now
        )

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 0.1
            self.term.turn()


@pytest.fixture(name="stage")
def stage_() -> Stage:
    return Stage()


def test_nothing_is_marked_before_its_delivery_report(stage: Stage) -> None:
    stage.outbox.committed = [1, 2, 3]
    stage.turn(3)
    assert (stage.brokers.sent, stage.marks.marked) == ([1, 2, 3], [])

    stage.brokers.deliver(2)
    stage.turn(3)

    assert stage.marks.marked == [1, 2]


def test_nothing_on_its_way_is_below_what_counts_as_sent(stage: Stage) -> None:
    stage.outbox.committed = [1, 2, 3]
    stage.turn(2)
    stage.brokers.deliver(1)

    stage.turn(2)

    assert stage.marks.asked == [([1], 1)]


def test_the_next_rows_are_read_and_sent_while_marks_are_made(stage: Stage) -> None:
    stage.marks.answers = False
    stage.outbox.committed = [1]
    stage.brokers.deliver(1)
    stage.turn(2)
    assert stage.marks.is_recording

    stage.outbox.committed = [1, 2]
    stage.brokers.deliver(1)
    stage.turn(3)

    assert stage.brokers.sent == [1, 2]
    assert stage.marks.asked == [([1], 1)]
    stage.marks.answers = True
    stage.turn(2)
    assert stage.marks.marked == [1, 2]


def test_the_next_rows_are_read_while_others_are_on_their_way(stage: Stage) -> None:
    stage.outbox.committed = list(range(1, 101))

    stage.turn(2)

    assert len(stage.brokers.sent) == 100
    assert [front for front, _ in stage.outbox.asked[:2]] == [0, 50]


def test_a_row_does_not_wait_for_the_report_of_another(stage: Stage) -> None:
    stage.outbox.committed = [1]
    stage.turn()
    stage.outbox.committed = [1, 2]
    stage.outbox.answers = False

    stage.turn()

    assert stage.brokers.sent == [1, 2]


def test_a_transaction_of_kafka_is_marked_after_it_ended_and_takes_no_more_meanwhile() -> None:
    stage = Stage(in_transactions=True)
    stage.outbox.committed = [1, 2]
    stage.brokers.deliver(1)
    stage.turn(2)
    stage.outbox.committed = [1, 2, 3]
    stage.turn(2)
    assert (stage.brokers.sent, stage.brokers.committed, stage.marks.marked) == ([1, 2], 0, [])

    stage.brokers.deliver(1)
    stage.turn(1)
    assert (stage.brokers.committed, stage.marks.marked) == (1, [1, 2])
    stage.brokers.deliver(1)
    stage.turn(3)

    assert (stage.brokers.sent, stage.marks.marked) == ([1, 2, 3], [1, 2, 3])


def test_the_lease_is_prolonged_while_a_transaction_is_open() -> None:
    stage = Stage(in_transactions=True)
    stage.outbox.committed = [1, 2]
    stage.brokers.deliver(1)

    stage.turn(int(10 * SECONDS) + 10)

    assert stage.lease.may_send(stage.now)
    assert stage.marks.marked == []


def test_a_row_whose_mark_came_while_its_gap_was_read_is_not_sent_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Gaps so many that they are looked into together with the rows between them.
    monkeypatch.setattr(gap_tracker, "MOST_GAPS", 1)
    monkeypatch.setattr(outbox_reader, "_LEAST_ROWS", 1)
    stage.outbox.committed = [2, 4, 6]
    stage.marks.answers = False
    stage.turn(2)
    stage.brokers.deliver(3)
    stage.turn(1)
    stage.outbox.answers = False
    stage.outbox.committed = [2, 4, 5, 6, 8]
    stage.turn(3)

    stage.marks.answers = True
    stage.turn(2)
    stage.outbox.answers = True
    stage.brokers.deliver(2)
    stage.turn(5)

    assert sorted(stage.brokers.sent) == [2, 4, 5, 6, 8]


def test_a_relay_whose_lease_nobody_answers_for_sends_no_more_and_does_not_spin(stage: Stage) -> None:
    stage.marks.answers = False
    stage.turn(int(10 * SECONDS))
    stage.outbox.committed = [1]

    stage.turn(3)

    assert stage.marks.is_recording
    assert stage.brokers.sent == []
    assert stage.brokers.patience > 0


def test_a_relay_that_lost_its_place_sends_no_more(stage: Stage) -> None:
    stage.marks.is_lost = True
    stage.outbox.committed = [1]
    stage.brokers.deliver(1)
    stage.turn(3)

    stage.outbox.committed = [1, 2]
    stage.turn(3)

    assert stage.lease.epoch is None
    assert stage.brokers.sent == [1]


def test_what_was_delivered_is_marked_at_the_end_whatever_else_failed(stage: Stage) -> None:
    stage.outbox.committed = [1, 2, 3]
    stage.marks.answers = False
    stage.turn(2)
    stage.brokers.deliver(1)
    stage.turn(1)
    stage.brokers.deliver(1)
    stage.now += 0.01
    stage.term.turn()

    stage.term.end(in_order=False)

    assert stage.marks.asked == [([1], 1), ([2], 2)]


def test_a_term_has_sent_once_its_first_row_is_marked_and_no_sooner(stage: Stage) -> None:
    """The first is the one that an earlier term failed at; what was sent beside it says nothing."""
    stage.outbox.committed = [1, 2, 3]
    stage.turn(3)
    stage.brokers.deliver_last(2)
    stage.turn(5)
    assert (stage.marks.marked, stage.term.has_sent) == ([2, 3], False)
    stage.brokers.deliver(1)
    stage.turn(3)
    assert stage.term.has_sent


def test_a_term_that_may_end_at_once_counts_what_waits(stage: Stage) -> None:
    stage.outbox.committed = [1, 2, 3]
    OUTBOX_PENDING.set(math.nan)
    stage.turn(2)
    assert OUTBOX_PENDING._value.get() == 3
