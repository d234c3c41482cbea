"""Whole workers over a log and a database in memory, through crashes, rebalances, outages and replays.

What is under test is everything that decides: `Worker`, `Assignment`, `BatchAccumulator`, the decoder, `resolved`. The
model is the log itself: whatever happens, each event in it takes effect exactly once.
"""

import weakref
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inbox.errors import TryAgainError
from inbox.events import Header, Record, TopicPartition, last_header
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.routes import HandlerTarget, Route
from inbox.sink.worker.loop import Worker
from inbox.sink.writer_thread import JobResult, ReadLedger, Settle
from inbox.telemetry import PAUSED
from tests.support.records import record
from tests.support.sink.memory import Fate, Log, MemoryConsumer, MemorySettler, Row, SteppedWriter, Store, id_of

PARTITIONS = [TopicPartition("orders", number) for number in range(3)]
ROUTE = Route(name="r", topics=("orders",), target=HandlerTarget(entry_point="h"), event_id="header:id")
partitions = st.sampled_from(PARTITIONS)


@dataclass
class Member:
    """A worker, and the two ends that the test holds."""

    worker: Worker
    consumer: MemoryConsumer
    writer: SteppedWriter

    def turn(self) -> None:
        self.worker._turn()


class Delivery(RuleBasedStateMachine):
    """Two members at most, three partitions, few event ids, so that everything meets."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lives = 0
        self.log = Log({partition: [] for partition in PARTITIONS})
        self.store = Store({partition: Row(number) for number, partition in enumerate(PARTITIONS, start=1)})
        self.allowed = dict.fromkeys(PARTITIONS, 0)
        self.members = [self.new_member(), self.new_member()]
        self.holder: dict[TopicPartition, Member] = {}
        for partition in PARTITIONS:
            self.hand_out(partition, self.members[0])

    def new_member(self) -> Member:
        self.lives += 1
        consumer = MemoryConsumer(self.log)
        writer = SteppedWriter(MemorySettler(self.store, f"life-{self.lives}"))
        assignment = Assignment(f"life-{self.lives}", reclaim_seconds=45.0)
        decoders = {"orders": TopicDecoder("orders", None, [ROUTE])}
        accumulator = BatchAccumulator(decoders, assignment, batch_events=4, batch_bytes=1 << 20)
        worker = Worker(
            cast(Any, consumer),
            cast(Any, writer),
            assignment,
            accumulator,
            ["orders"],
            TimeLimit(60),
            clock=lambda: self.now,
        )
        consumer.subscribe(["orders"], worker._rebalances.listener)
        return Member(worker, consumer, writer)

    def hand_out(self, partition: TopicPartition, member: Member) -> None:
        self.holder[partition] = member
        member.consumer.news.append(("assigned", partition))

    # Producers.

    @rule(partition=partitions, ids=st.lists(st.integers(1, 30) | st.none(), min_size=1, max_size=6))
    def produce(self, partition: TopicPartition, ids: list[int | None]) -> None:
        """None: an event without an id, which becomes a dead letter."""
        for number in ids:
            offset = self.log.end(partition)
            headers: list[Header] = [] if number is None else [("id", id_of(number))]
            it = record(offset, partition=partition.partition, headers=headers)
            self.log.partitions[partition].append(it)

    @rule(partition=partitions)
    def end_a_transaction(self, partition: TopicPartition) -> None:
        self.log.partitions[partition].append(None)

    # Time, members, the database.

    @rule(seconds=st.sampled_from([0.1, 2.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=st.integers(0, 1), turns=st.integers(1, 4))
    def a_member_turns(self, number: int, turns: int) -> None:
        for _ in range(turns):
            self.members[number].turn()

    @rule(number=st.integers(0, 1), fate=st.sampled_from([Fate.ANSWERED, *Fate]))
    def the_database_works(self, number: int, fate: Fate) -> None:
        if self.members[number].writer.has_work:
            self.members[number].writer.carry_out(fate)

    @rule(number=st.integers(0, 1))
    def all_goes_well_for_a_while(self, number: int) -> None:
        self.settle_down(self.members[number], 5)

    @rule(number=st.integers(0, 1), committed=st.booleans())
    def a_member_is_killed(self, number: int, committed: bool) -> None:
        """What it had sent may still be committed; a new one joins, the other gets its partitions."""
        killed = self.members[number]
        if committed and killed.writer.has_work:
            killed.writer.carry_out(Fate.LOST_AFTER_COMMIT)
        self.members[number] = self.new_member()
        for partition, member in list(self.holder.items()):
            if member is killed:
                self.hand_out(partition, self.members[1 - number])

    # Rebalances.

    @rule(partition=partitions, number=st.integers(0, 1))
    def a_partition_moves(self, partition: TopicPartition, number: int) -> None:
        """Its member gives it up first, waiting for the batch at hand as long as it may."""
        before, after = self.holder[partition], self.members[number]
        if before is not after:
            before.consumer.news.append(("revoked", partition))
            before.turn()
            self.hand_out(partition, after)

    @rule(partition=partitions, number=st.integers(0, 1))
    def a_partition_is_lost(self, partition: TopicPartition, number: int) -> None:
        """Its member was away for too long: the other has it before the first hears of it."""
        before, after = self.holder[partition], self.members[number]
        if before is not after:
            before.consumer.news.append(("lost", partition))
            self.hand_out(partition, after)

    @rule(partition=partitions, ids=st.lists(st.integers(1, 30), min_size=1, max_size=4))
    def a_zombie_writes_late(self, partition: TopicPartition, ids: list[int]) -> None:
        """A member sends a batch and falls asleep; the other goes past it; then the batch is carried out."""
        zombie = self.holder[partition]
        heir = next(member for member in self.members if member is not zombie)
        self.settle_down(zombie, 5)
        self.produce(partition, ids)
        zombie.turn()
        zombie.turn()
        self.a_partition_is_lost(partition, self.members.index(heir))
        self.produce(partition, ids)
        self.settle_down(heir, 8)
        if zombie.writer.has_work:
            zombie.writer.carry_out(Fate.ANSWERED)

    # Operators.

    @precondition(lambda self: any(row.next_offset for row in self.store.ledger.values()))
    @rule(partition=partitions, offset=st.integers(0, 20))
    def replay(self, partition: TopicPartition, offset: int) -> None:
        if offset <= self.store.ledger[partition].next_offset:
            self.store.replay(partition, offset)
            self.allowed[partition] = offset

    # What holds at any time.

    @invariant()
    def no_effect_comes_twice(self) -> None:
        ids = [event_id for event_id, *_ in self.store.effects]
        assert len(ids) == len(set(ids))

    @invariant()
    def everything_below_the_ledger_is_settled(self) -> None:
        for partition, row in self.store.ledger.items():
            for each in self.log.partitions[partition][: row.next_offset]:
                if each is not None:
                    assert self.is_settled(partition, each), f"{partition}@{each.offset()} was passed over"

    def is_settled(self, partition: TopicPartition, each: Record) -> bool:
        text = last_header(each.headers() or [], "id")
        if text is None:
            return (partition, each.offset()) in self.store.dead_letters
        return UUID(text.decode()).bytes in self.store.claims

    @invariant()
    def the_ledger_goes_back_only_by_a_replay(self) -> None:
        for partition, row in self.store.ledger.items():
            assert row.next_offset >= self.allowed[partition]
            self.allowed[partition] = row.next_offset

    @invariant()
    def effects_of_a_partition_come_in_the_order_of_its_offsets(self) -> None:
        last: dict[TopicPartition, int] = {}
        for _, partition, offset in self.store.effects:
            assert offset > last.get(partition, -1)
            last[partition] = offset

    # In the end.

    def settle_down(self, member: Member, turns: int) -> None:
        for _ in range(turns):
            member.turn()
            if member.writer.has_work:
                member.writer.carry_out(Fate.ANSWERED)

    def teardown(self) -> None:
        """Once crashes end, the members get through the log by themselves."""
        for _ in range(12):
            self.now += 50.0
            for member in self.members:
                self.settle_down(member, 12)
        for partition in PARTITIONS:
            assert self.store.ledger[partition].next_offset == self.log.end(partition), f"{partition} came to a stop"
        self.everything_below_the_ledger_is_settled()
        self.no_effect_comes_twice()
        # What a member waited for when it crashed goes with its process; here all members share one.
        PAUSED.clear()


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


def test_a_settled_batch_is_freed_only_once_the_next_one_is_under_way() -> None:
    delivery = Delivery()
    member = delivery.members[0]
    delivery.produce(PARTITIONS[0], list(range(1, 9)))
    delivery.settle_down(member, 3)
    member.turn()
    assert isinstance(member.writer._job, Settle)
    batch = weakref.ref(member.writer._job)
    at_the_next: list[bool] = []
    member.writer.wait_until_started = lambda seconds: at_the_next.append(batch() is not None)  # type: ignore[method-assign]
    member.writer.carry_out(Fate.ANSWERED)
    member.turn()
    assert at_the_next == [True]
    assert batch() is None


def test_an_answer_that_comes_as_a_worker_leaves_is_no_outage_for_ever() -> None:
    """Leaving the group revokes, and what is revoked is waited for: the database may fail in that very moment."""
    delivery = Delivery()
    member = delivery.members[0]
    delivery.settle_down(member, 3)
    delivery.produce(PARTITIONS[0], [1])
    member.turn()
    member.turn()
    assert member.writer.has_work
    failed = JobResult(ReadLedger(["orders"]), error=TryAgainError("gone", away="database", reason="connection"))

    def leave() -> None:
        member.writer._outcome = failed
        member.worker._rebalances.revoked(PARTITIONS)

    member.consumer.close = leave  # type: ignore[method-assign]
    member.worker.stop()
    member.worker._context.consumer.subscribe = lambda *_: None  # type: ignore[method-assign]
    member.worker._drain = lambda: None  # type: ignore[method-assign]
    member.worker.run()
    assert PAUSED.labels("database")._value.get() == 0
