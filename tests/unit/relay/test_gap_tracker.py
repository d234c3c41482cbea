"""Which rows the relay looks for: none that commits is passed over, however late, and none is looked for for ever."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inbox.relay import gap_tracker
from inbox.relay.gap_tracker import GapTracker


def test_a_new_one_begins_past_what_was_sent() -> None:
    tracker = GapTracker(7)

    assert (tracker.front, tracker.gaps, tracker.read_below) == (7, [], 7)


def test_what_lies_between_rows_is_a_gap() -> None:
    tracker = GapTracker(0)

    tracker.observe([2, 3, 7], xmin=100)

    assert (tracker.front, tracker.gaps, tracker.read_below) == (7, [(1, 1), (4, 6)], 0)


def test_a_row_that_committed_late_splits_its_gap() -> None:
    tracker = GapTracker(0)
    tracker.observe([5], xmin=100)

    tracker.observe([2], xmin=100)

    assert tracker.gaps == [(1, 1), (3, 4)]


def test_a_gap_stays_until_every_transaction_that_might_fill_it_has_ended() -> None:
    tracker = GapTracker(0)
    tracker.observe([2], xmin=100)
    tracker.observe([], xmin=10**6)
    assert tracker.gaps == [(1, 1)]  # nobody has drawn a bound yet

    tracker.bound(105, readings=tracker.readings)
    tracker.observe([], xmin=104)
    assert tracker.gaps == [(1, 1)]

    tracker.observe([], xmin=105)
    assert (tracker.gaps, tracker.read_below) == ([], 2)


def test_a_gap_behind_the_end_of_a_reading_stays() -> None:
    tracker = GapTracker(0)
    tracker.observe([3, 9], xmin=100)
    tracker.bound(105, readings=tracker.readings)

    tracker.observe([2], xmin=105)

    assert tracker.gaps == [(4, 8)]


def test_a_row_and_its_gap_s_end_in_one_snapshot() -> None:
    tracker = GapTracker(0)
    tracker.observe([2], xmin=100)
    tracker.bound(105, readings=tracker.readings)

    tracker.observe([1], xmin=105)

    assert tracker.gaps == []


def test_what_a_sweep_found_is_looked_for_first() -> None:
    tracker = GapTracker(50)
    tracker.observe([60], xmin=100)

    tracker.reopen(10, 20)

    assert (tracker.gaps, tracker.read_below) == ([(10, 20), (51, 59)], 9)


def test_very_many_gaps_become_fewer_and_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_tracker, "MOST_GAPS", 3)
    tracker = GapTracker(0)

    tracker.observe([2, 4, 6, 8, 10], xmin=100)

    assert tracker.gaps == [(1, 3), (5, 7), (9, 9)]


def test_a_gap_noticed_while_the_bound_was_drawn_is_not_bounded_by_it() -> None:
    tracker = GapTracker(0)
    tracker.observe([2], xmin=100)
    asked = tracker.readings

    tracker.observe([4], xmin=100)
    tracker.bound(105, readings=asked)
    tracker.observe([], xmin=110)

    assert tracker.gaps == [(3, 3)]


class Publishing(RuleBasedStateMachine):
    """Transactions draw an id, then positions, and commit or roll back in any order; the relay reads in between.

    Its readings and the drawing of its own ids take time: others continue between their snapshot and the answer.

    A transaction of an aggregate begins after the one before it has ended, as one that locks the aggregate's row does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.next_id, self.next_position = 100, 1
        self.running: dict[int, list[int]] = {}
        self.aggregate_of: dict[int, int] = {}
        self.committed: set[int] = set()
        self.sent: list[int] = []
        self.tracker = GapTracker(0)
        self.reading: tuple[list[int], int] | None = None
        self.marking: tuple[int, int] | None = None

    @rule(aggregate=st.integers(0, 3))
    def begin(self, aggregate: int) -> None:
        if aggregate not in self.aggregate_of.values():
            self.running[self.next_id] = []
            self.aggregate_of[self.next_id] = aggregate
            self.next_id += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        transaction = data.draw(st.sampled_from(sorted(self.running)))
        self.running[transaction].append(self.next_position)
        self.next_position += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), commits=st.booleans())
    def end(self, data: st.DataObject, commits: bool) -> None:
        transaction = data.draw(st.sampled_from(sorted(self.running)))
        positions = self.running.pop(transaction)
        aggregate = self.aggregate_of.pop(transaction)
        if commits:
            self.committed.update(positions)
            for position in positions:
                self.of[position] = aggregate

    @precondition(lambda self: self.reading is None)
    @rule(limit=st.integers(1, 4))
    def start_reading(self, limit: int) -> None:
        gaps = self.tracker.gaps
        late = sorted(
            each for each in self.committed - set(self.sent) if any(first <= each <= last for first, last in gaps)
        )[:limit]
        rest = sorted(each for each in self.committed if each > self.tracker.front)[:limit]
        found = late if len(late) == limit else [*late, *rest]
        self.reading = found, min(self.running, default=self.next_id)

    @precondition(lambda self: self.reading is not None)
    @rule()
    def see_what_was_read(self) -> None:
        assert self.reading is not None
        found, xmin = self.reading
        self.reading = None
        self.tracker.observe(found, xmin)
        self.sent += [each for each in found if each not in self.sent]

    @precondition(lambda self: self.marking is None)
    @rule()
    def ask_for_marks(self) -> None:
        self.marking = self.next_id, self.tracker.readings
        self.next_id += 1

    @precondition(lambda self: self.marking is not None)
    @rule()
    def hear_of_the_marks(self) -> None:
        assert self.marking is not None
        transaction_id, readings = self.marking
        self.marking = None
        self.tracker.bound(transaction_id, readings=readings)

    def read(self, limit: int) -> None:
        self.start_reading(limit)
        self.see_what_was_read()

    @rule()
    def crash(self) -> None:
        """The next relay begins where everything before was read."""
        self.tracker = GapTracker(self.tracker.read_below)
        self.reading = self.marking = None

    @property
    def of(self) -> dict[int, int]:
        if not hasattr(self, "_of"):
            self._of: dict[int, int] = {}
        return self._of

    @invariant()
    def nothing_is_passed_over(self) -> None:
        missing = self.committed - set(self.sent)
        gaps, front = self.tracker.gaps, self.tracker.front
        assert all(each > front or any(first <= each <= last for first, last in gaps) for each in missing)
        assert all(each > self.tracker.read_below for each in missing)

    @invariant()
    def every_aggregate_is_in_order(self) -> None:
        for aggregate in range(4):
            stream = [each for each in self.sent if self.of[each] == aggregate]
            assert stream == sorted(stream)

    def teardown(self) -> None:
        self.reading = self.marking = None
        for _ in range(2 * len(self.committed) + 2):
            self.read(4)
        assert set(self.sent) == self.committed
        self.running.clear()
        self.ask_for_marks()
        self.hear_of_the_marks()
        for _ in range(len(self.committed) + 2):
            self.read(4)
        assert self.tracker.gaps == []


TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
