"""Collecting records into the next batch: nothing skipped, nothing twice, within the limits."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from inbox.errors import InboxError, TryAgainError, UnreadableError
from inbox.events import TopicPartition
from inbox.kafka.consumer import Polled
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.batch import Batch
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.inbox.ledger import ActiveReplay, LedgerRow
from tests.support.records import record

MakeIntake = Callable[..., BatchAccumulator]
P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def offsets_of(batch: Batch, partition: TopicPartition = P0) -> list[int]:
    return [each.offset() for each in batch.partitions[partition].routes["r"].records]


def test_a_slice_says_what_it_settles(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10, milliseconds=123), record(11, milliseconds=456)]))
    part = accumulator.drain().partitions[P0]
    assert (part.address, part.partition_id, part.owner_epoch) == (P0, 7, 1)
    assert (part.before, part.after, part.oldest_milliseconds) == (10, 12, 123)


@pytest.mark.parametrize(("milliseconds", "noted"), [(None, None), (-1, None), (0, 0)])
def test_only_a_timestamp_counts_as_one(make_intake: MakeIntake, milliseconds: int | None, noted: int | None) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10, milliseconds=milliseconds)]))
    assert accumulator.drain().partitions[P0].oldest_milliseconds == noted


def test_offsets_below_what_was_taken_are_dropped(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(8), record(9), record(10), record(10), record(11)]))
    accumulator.add(Polled([record(11), record(12)]))
    assert offsets_of(accumulator.batch) == [10, 11, 12]
    assert accumulator.batch.records == 3


def replayed_up_to(assignment: Assignment, until: int) -> None:
    """P0 continues at 10 with a replay that ends before `until`."""
    assignment.fenced([P0])
    assignment.refreshed([LedgerRow(7, P0, 10, "me", 2)], 0.0, idle=True)
    assignment.acquired([LedgerRow(7, P0, 10, "me", 2, reached_offset=20, replay=ActiveReplay(3, until, None, True))])
    assignment.placed(P0)


@pytest.mark.parametrize(
    "taken",
    [
        Polled([record(10), record(11), record(12), record(13)]),
        Polled([record(10), record(11), record(15)]),
        Polled([record(10), record(11)], [(P0, 30)]),
    ],
    ids=["records", "a gap", "the end of the log"],
)
def test_a_part_ends_where_the_replay_ends_and_bears_it(
    make_intake: MakeIntake, assignment: Assignment, taken: Polled
) -> None:
    replayed_up_to(assignment, 12)
    accumulator = make_intake()
    accumulator.add(taken)
    part = accumulator.drain().partitions[P0]
    assert (part.before, part.after, [each.offset() for each in part.routes["r"].records]) == (10, 12, [10, 11])
    assert part.replay == ActiveReplay(3, 12, None, True)
    accumulator.add(Polled([record(12), record(13)]))
    assert not accumulator.batch


def test_behind_the_replay_a_part_bears_none(make_intake: MakeIntake, assignment: Assignment) -> None:
    replayed_up_to(assignment, 12)
    assignment.fenced([P0])
    assignment.refreshed([LedgerRow(7, P0, 20, "me", 3)], 0.0, idle=True)
    assignment.acquired([LedgerRow(7, P0, 20, "me", 3, reached_offset=20)])
    assignment.placed(P0)
    accumulator = make_intake()
    accumulator.add(Polled([record(20)]))
    assert accumulator.batch.partitions[P0].replay is None


def test_records_of_a_partition_that_is_not_active_are_dropped(make_intake: MakeIntake, assignment: Assignment) -> None:
    assignment.assigned([P1])
    accumulator = make_intake()
    accumulator.add(Polled([record(0, partition=1), record(10), record(0, partition=2)]))
    assert list(accumulator.batch.partitions) == [P0]
    assert accumulator.batch.records == 1


def test_only_dropped_records_leave_nothing_to_settle(make_intake: MakeIntake) -> None:
    """A slice of no offsets would cost a transaction, and read as committed when its COMMIT is in doubt."""
    accumulator = make_intake()
    accumulator.add(Polled([record(8), record(9)], [(P0, 10)]))
    assert not accumulator.batch
    assert accumulator.batch.partitions == {}


def test_a_gap_in_the_log_is_settled_with_the_record_behind_it(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(15)]))
    part = accumulator.batch.partitions[P0]
    assert (part.before, part.after) == (10, 16)


def test_the_end_of_the_log_settles_trailing_control_records(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10)], [(P0, 13)]))
    part = accumulator.batch.partitions[P0]
    assert (part.before, part.after) == (10, 13)
    assert offsets_of(accumulator.batch) == [10]


def test_an_end_alone_makes_a_batch_without_records(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled(ends=[(P0, 12)]))
    assert (
        accumulator.batch.partitions[P0].before,
        accumulator.batch.partitions[P0].after,
        accumulator.batch.records,
    ) == (10, 12, 0)
    assert accumulator.batch.partitions[P0].oldest_milliseconds is None


def at_10_of(reached: int) -> LedgerRow:
    """Sent back to 10 by a replay, after 10 and more were settled."""
    return LedgerRow(7, P0, 10, "me", 2, reached_offset=reached)


def sent_back(assignment: Assignment, reached: int) -> None:
    assignment.assigned([P0])
    assignment.acquired([at_10_of(reached)])
    assignment.placed(P0)


def test_what_is_settled_again_is_in_no_part_with_what_never_was(
    make_intake: MakeIntake, assignment: Assignment
) -> None:
    sent_back(assignment, 12)
    accumulator = make_intake()
    accumulator.add(Polled([record(n) for n in range(10, 15)], [(P0, 16)]))
    assert accumulator.room == 0
    again = accumulator.drain().partitions[P0]
    assert (again.before, again.after) == (10, 12)
    assert accumulator.room > 0
    new = accumulator.drain().partitions[P0]
    assert (new.before, new.after, new.records) == (12, 16, 3)
    assert not accumulator.batch


def test_a_gap_at_the_border_is_settled_again(make_intake: MakeIntake, assignment: Assignment) -> None:
    sent_back(assignment, 12)
    accumulator = make_intake()
    accumulator.add(Polled([record(10, leader_epoch=3), record(14, leader_epoch=4)]))
    again = accumulator.drain().partitions[P0]
    assert (again.before, again.after, again.leader_epoch) == (10, 12, None)
    new = accumulator.drain().partitions[P0]
    assert (new.before, new.after, new.leader_epoch) == (12, 15, 4)


def test_an_end_behind_the_border_waits_for_the_next_batch(make_intake: MakeIntake, assignment: Assignment) -> None:
    sent_back(assignment, 12)
    accumulator = make_intake()
    accumulator.add(Polled(ends=[(P0, 15)]))
    assert (accumulator.drain().partitions[P0].after, accumulator.batch.partitions[P0].after) == (12, 15)


def test_what_waits_for_the_next_batch_is_dropped_with_its_partition(
    make_intake: MakeIntake, assignment: Assignment
) -> None:
    sent_back(assignment, 12)
    accumulator = make_intake()
    accumulator.add(Polled([record(n) for n in range(10, 15)], [(P0, 16)]))
    accumulator.drop([P0])
    assert accumulator.room > 0
    assert not accumulator.drain()
    assert not accumulator.batch


def test_a_part_knows_the_leader_epoch_of_its_last_record(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10, leader_epoch=3), record(11, leader_epoch=4)]))
    accumulator.add(Polled())
    assert accumulator.batch.partitions[P0].leader_epoch == 4


def test_behind_trailing_control_records_the_leader_epoch_is_not_known(make_intake: MakeIntake) -> None:
    """They may be of a later term than the last record, and the log did not lose them."""
    accumulator = make_intake()
    accumulator.add(Polled([record(10, leader_epoch=3)], [(P0, 13)]))
    assert accumulator.batch.partitions[P0].leader_epoch is None


@pytest.mark.parametrize("end", [5, 10])
def test_an_end_that_was_reached_before_is_nothing_new(make_intake: MakeIntake, end: int) -> None:
    accumulator = make_intake()
    accumulator.add(Polled(ends=[(P0, end)]))
    assert not accumulator.batch


def test_an_end_of_a_partition_that_is_not_active_is_dropped(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled(ends=[(P1, 12)]))
    assert not accumulator.batch


def test_the_next_batch_starts_where_the_last_one_ended(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10)], [(P0, 12)]))
    first = accumulator.drain()
    accumulator.add(Polled([record(12)]))
    assert accumulator.drain().partitions[P0].before == first.partitions[P0].after


def test_a_handed_over_batch_does_not_grow(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10)]))
    first = accumulator.drain()
    accumulator.add(Polled([record(11)]))
    assert offsets_of(first) == [10]


def test_a_dropped_partition_leaves_the_batch(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10)]))
    accumulator.drop([P0])
    assert not accumulator.batch


def test_a_dropped_partition_gives_its_room_back(make_intake: MakeIntake) -> None:
    accumulator = make_intake(batch_events=3)
    accumulator.add(Polled([record(10), record(11), record(12)]))
    accumulator.drop([P0])
    assert (accumulator.batch.records, accumulator.batch.bytes) == (0, 0)
    assert accumulator.room == 3


def test_a_full_batch_has_no_room(make_intake: MakeIntake) -> None:
    accumulator = make_intake(batch_events=2)
    accumulator.add(Polled([record(10), record(11)]))
    assert accumulator.room == 0


def test_a_batch_of_enough_bytes_has_no_room(make_intake: MakeIntake) -> None:
    accumulator = make_intake(batch_bytes=100)
    accumulator.add(Polled([record(10, key=bytes(50), value=bytes(50))]))
    assert accumulator.room == 0


@given(batch_events=st.integers(1, 50), counts=st.lists(st.integers(1, 10), max_size=20))
def test_room_never_lets_a_batch_exceed_its_events(batch_events: int, counts: list[int]) -> None:
    machine = Filling(batch_events=batch_events, batch_bytes=1 << 30)
    for count in counts:
        machine.fill(min(count, machine.accumulator.room), 10)
        assert machine.accumulator.batch.records <= batch_events


@given(batch_bytes=st.integers(1, 20_000), sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=50))
def test_whatever_comes_exceeds_the_bytes_of_a_batch_by_its_last_record_at_most(
    batch_bytes: int, sizes: list[int]
) -> None:
    machine = Filling(batch_events=10_000, batch_bytes=batch_bytes)
    machine.accumulator.add(Polled([record(offset, value=bytes(size)) for offset, size in enumerate(sizes)]))
    taken = 0
    while batch := machine.accumulator.drain():
        offsets = offsets_of(batch)
        assert offsets == list(range(taken, taken + len(offsets)))
        assert sum(sizes[offset] for offset in offsets[:-1]) < batch_bytes
        taken += len(offsets)
    assert taken == len(sizes)


@given(batch_events=st.integers(1, 10), count=st.integers(1, 50))
def test_whatever_comes_never_exceeds_the_events_of_a_batch(batch_events: int, count: int) -> None:
    machine = Filling(batch_events=batch_events, batch_bytes=1 << 30)
    machine.fill(count, 10)
    for start in range(0, count, batch_events):
        assert len(offsets_of(machine.accumulator.drain())) == min(batch_events, count - start)


def test_keys_and_headers_are_bytes_of_the_batch(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(10, key=bytes(5000), value=None, headers=[("n" * 1000, bytes(2000)), ("m", None)])]))
    assert 8001 <= accumulator.batch.bytes < 8501


def test_a_header_counts_although_it_is_empty(make_intake: MakeIntake) -> None:
    accumulator = make_intake(batch_bytes=1_000_000)
    accumulator.add(Polled([record(10, headers=[("", b"")] * 10_000)]))
    assert accumulator.room == 0


def test_what_no_longer_fits_waits_with_all_that_came_behind_it(
    make_intake: MakeIntake, assignment: Assignment
) -> None:
    assignment.assigned([P1])
    assignment.acquired([LedgerRow(8, P1, 0, "me", 1)])
    assignment.placed(P1)
    accumulator = make_intake(batch_bytes=100)
    others = [record(offset, partition=1) for offset in range(3)]
    accumulator.add(Polled([record(10, value=bytes(100)), others[0], others[1]], [(P0, 13), (P1, 2)]))
    accumulator.drop([P0])
    accumulator.add(Polled([others[2]]))
    assert offsets_of(accumulator.drain(), P1) == [0, 1, 2]
    assert not accumulator.batch


def test_what_waits_is_not_passed_over_by_what_comes_while_the_batch_has_room_again(
    make_intake: MakeIntake, assignment: Assignment
) -> None:
    assignment.assigned([P1])
    assignment.acquired([LedgerRow(8, P1, 0, "me", 1)])
    assignment.placed(P1)
    accumulator = make_intake(batch_events=2)
    others = [record(offset, partition=1) for offset in range(4)]
    accumulator.add(Polled([record(10), others[0], others[1]]))
    accumulator.drop([P0])
    accumulator.add(Polled(others[2:], [(P1, 9)]))
    assert offsets_of(accumulator.drain(), P1) == [0]
    assert offsets_of(accumulator.drain(), P1) == [1, 2]
    assert offsets_of(accumulator.drain(), P1) == [3]


class Filling:
    """Fills an intake with what its room allows."""

    def __init__(self, *, batch_events: int, batch_bytes: int) -> None:
        route = Route(name="r", topics=("orders",), target=HandlerTarget(entry_point="h"))
        self.assignment = Assignment("me", reclaim_seconds=1.0)
        decoders = {"orders": TopicDecoder("orders", None, [route])}
        self.accumulator = BatchAccumulator(
            decoders, self.assignment, batch_events=batch_events, batch_bytes=batch_bytes
        )
        self.assignment.assigned([P0])
        self.assignment.acquired([LedgerRow(1, P0, 0, "me", 1)])
        self.assignment.placed(P0)

    def fill(self, count: int, size: int) -> None:
        first = self.assignment.partitions[P0].taken
        self.accumulator.add(Polled([record(first + n, value=bytes(size)) for n in range(count)]))


partitions = st.sampled_from([P0, P1])


class Taking(RuleBasedStateMachine):
    """What is handed over, partition by partition, against the log: each offset once and in order."""

    def __init__(self) -> None:
        super().__init__()
        filling = Filling(batch_events=5, batch_bytes=30)
        self.assignment, self.accumulator = filling.assignment, filling.accumulator
        self.assignment.assigned([P1])
        self.assignment.acquired([LedgerRow(2, P1, 0, "me", 1)])
        self.assignment.placed(P1)
        self.log: dict[TopicPartition, list[int]] = {P0: [], P1: []}
        self.end = {P0: 0, P1: 0}
        self.read = {P0: 0, P1: 0}
        self.settled = {P0: 0, P1: 0}
        self.reached = {P0: 0, P1: 0}
        self.ends: dict[TopicPartition, set[int]] = {P0: set(), P1: set()}

    @rule(partition=partitions, count=st.integers(1, 5), control=st.integers(0, 2))
    def are_produced(self, partition: TopicPartition, count: int, control: int) -> None:
        self.log[partition] += range(self.end[partition], self.end[partition] + count)
        self.end[partition] += count + control

    @rule(data=st.data())
    def are_polled(self, data: Any) -> None:
        taken = Polled()
        for partition in data.draw(st.permutations([P0, P1])):
            waiting = [offset for offset in self.log[partition] if offset >= self.read[partition]]
            count = data.draw(st.integers(0, len(waiting)))
            taken.records += [
                record(offset, partition=partition.partition, value=bytes(offset % 13)) for offset in waiting[:count]
            ]
            self.read[partition] = waiting[count - 1] + 1 if count else self.read[partition]
            if count == len(waiting) and data.draw(st.booleans()):
                self.read[partition] = self.end[partition]
                taken.ends.append((partition, self.end[partition]))
                self.ends[partition].add(self.end[partition])
        self.accumulator.add(taken)

    @rule(partition=partitions, back=st.integers(1, 5))
    def some_come_again(self, partition: TopicPartition, back: int) -> None:
        """What was fetched before a seek, delivered late."""
        again = [offset for offset in self.log[partition] if offset < self.read[partition]][-back:]
        self.accumulator.add(Polled([record(offset, partition=partition.partition) for offset in again]))

    @precondition(lambda self: self.accumulator.batch)
    @rule()
    def are_handed_over(self) -> None:
        for partition, part in self.accumulator.drain().partitions.items():
            assert part.before == self.settled[partition]
            assert part.after > part.before
            offsets = [each.offset() for each in part.routes["r"].records]
            assert offsets == [o for o in self.log[partition] if part.before <= o < part.after]
            border = self.reached[partition]
            assert part.after in {*self.ends[partition], border} or part.after == offsets[-1] + 1
            assert len(offsets) <= 5
            assert part.after <= border or part.before >= border
            self.settled[partition] = part.after
            self.reached[partition] = max(border, part.after)

    @rule()
    def nothing_more_comes(self) -> None:
        """All that was read is settled, batch after batch."""
        while self.accumulator.batch:
            self.are_handed_over()
        assert self.settled == self.read

    @rule(partition=partitions, back=st.integers(0, 9))
    def the_ledger_goes_back(self, partition: TopicPartition, back: int) -> None:
        self.assignment.fenced([partition])
        self.accumulator.drop([partition])
        self.settled[partition] = max(0, self.settled[partition] - back)
        ledger_row = LedgerRow(1, partition, self.settled[partition], "me", 2, reached_offset=self.reached[partition])
        self.assignment.refreshed([ledger_row], 0.0, idle=False)
        self.assignment.acquired([ledger_row._replace(owner_epoch=3)])
        self.assignment.placed(partition)
        self.read[partition] = self.settled[partition]


TestTaking = Taking.TestCase


class Reasons:
    """Refuses the gaps that begin at some offsets, with these errors; `asked` are those that were asked for."""

    def __init__(self, refused: Mapping[int, InboxError]) -> None:
        self.refused = refused
        self.asked: list[tuple[int, int]] = []

    def require(self, at: TopicPartition, since: int, until: int) -> None:
        self.asked.append((since, until))
        if since in self.refused:
            raise self.refused[since]


def unreadable(offset: int) -> UnreadableError:
    return UnreadableError("damaged", at=P0, offset=offset)


def test_only_a_gap_needs_a_reason(make_intake: MakeIntake) -> None:
    reasons = Reasons({})
    accumulator = make_intake(require_reason=reasons.require)
    accumulator.add(Polled([record(10), record(11), record(14), record(15)], [(P0, 16)]))
    accumulator.add(Polled([], [(P0, 18)]))
    assert reasons.asked == [(12, 14), (16, 18)]
    assert accumulator.batch.partitions[P0].after == 18


@pytest.mark.parametrize("error", [unreadable(12), TryAgainError("nobody says")], ids=["halts", "asks again"])
def test_nothing_behind_a_gap_without_a_reason_is_taken(make_intake: MakeIntake, error: InboxError) -> None:
    accumulator = make_intake(require_reason=Reasons({12: error}).require)
    accumulator.add(Polled([record(10), record(11), record(14), record(15)], [(P0, 16)]))
    accumulator.add(Polled([record(16)]))
    assert accumulator.batch.partitions[P0].after == 12
    assert accumulator.stops == {P0: error}


def test_an_end_without_a_reason_is_not_settled(make_intake: MakeIntake) -> None:
    error = unreadable(10)
    accumulator = make_intake(require_reason=Reasons({10: error}).require)
    accumulator.add(Polled([], [(P0, 16)]))
    assert not accumulator.batch
    assert accumulator.stops == {P0: error}


def test_what_stands_before_an_unreadable_place_is_taken_and_nothing_behind_it(make_intake: MakeIntake) -> None:
    error, reasons = unreadable(15), Reasons({})
    accumulator = make_intake(require_reason=reasons.require)
    accumulator.add(Polled([record(10), record(13), record(16)], [(P0, 17)], [error]))
    assert accumulator.batch.partitions[P0].after == 14
    assert reasons.asked == [(11, 13)]
    assert accumulator.stops == {P0: error}


def test_a_batch_that_cannot_be_read_from_its_middle_on_stops_where_the_ledger_is(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled([record(12)], [], [unreadable(8)]))
    assert not accumulator.batch
    assert accumulator.stops[P0].args == ("damaged",)


def test_a_partition_that_is_given_away_takes_its_stop_along(make_intake: MakeIntake) -> None:
    accumulator = make_intake()
    accumulator.add(Polled(unreadable=[unreadable(10)]))
    accumulator.drop([P0])
    assert not accumulator.stops


def test_a_replay_ends_before_an_unreadable_place_behind_it(make_intake: MakeIntake, assignment: Assignment) -> None:
    accumulator = make_intake()
    replayed_up_to(assignment, 12)
    accumulator.add(Polled([record(10), record(11)], [], [unreadable(12)]))
    assert accumulator.batch.partitions[P0].after == 12
    assert not accumulator.stops


def test_what_is_kept_back_is_no_gap(make_intake: MakeIntake) -> None:
    reasons = Reasons({})
    accumulator = make_intake(batch_events=2, require_reason=reasons.require)
    accumulator.add(Polled([record(10), record(11), record(12), record(13)], [(P0, 14)]))
    while accumulator.batch:
        accumulator.drain()
    assert reasons.asked == []


def test_a_gap_on_both_sides_of_the_border_needs_a_reason_for_each(
    make_intake: MakeIntake, assignment: Assignment
) -> None:
    reasons = Reasons({})
    accumulator = make_intake(require_reason=reasons.require)
    assignment.partitions[P0].reached = 12
    accumulator.add(Polled([record(10), record(15)], [(P0, 16)]))
    accumulator.drain()
    assert reasons.asked == [(11, 12), (12, 15)]
