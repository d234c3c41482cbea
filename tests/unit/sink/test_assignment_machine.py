"""A member's partitions against a model of the ledger, in every order of events that Hypothesis can think of.

The model is a dict of ledger rows, changed by the rules of the database alone: an acquisition and a replay
raise the owner epoch, a fence compares and sets. The member's jobs take three steps of their own (asked,
carried out, answered), so that rebalances, replays and other owners fall between any two of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inbox.errors import HaltError
from inbox.events import TopicPartition
from inbox.sink.assignment import Assignment, Phase
from inbox.store.inbox.ledger import LedgerRow

ME, OTHER = "me", "another"
RECLAIM_SECONDS = 45.0
PARTITIONS = [TopicPartition("orders", number) for number in range(3)]
partitions = st.sampled_from(PARTITIONS)


@dataclass(frozen=True)
class Row:
    """A row of the ledger."""

    next_offset: int = 100
    owner: str | None = None
    owner_epoch: int = 0


@dataclass
class Part:
    """What a batch wants to settle in one partition."""

    owner_epoch: int
    before: int
    after: int


Intent = dict[TopicPartition, Part]


@dataclass
class Job:
    """What the member has the database do, one at a time; `answer` once it is carried out."""

    kind: str
    wanted: list[TopicPartition] = field(default_factory=list)
    intent: Intent = field(default_factory=dict)
    answer: list[LedgerRow] | None = None
    fenced: set[TopicPartition] = field(default_factory=set)


class Members(RuleBasedStateMachine):
    """One member under test; the other one and the operator act on the ledger directly."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ledger = {partition: Row() for partition in PARTITIONS}
        self.assignment = Assignment(ME, reclaim_seconds=RECLAIM_SECONDS)
        self.given: set[TopicPartition] = set()
        self.accumulator: Intent = {}
        self.job: Job | None = None
        self.expected: dict[TopicPartition, int] = {}
        self.lost_with: set[tuple[TopicPartition, int]] = set()
        self.takeovers: dict[TopicPartition, int] = {}
        self.parked_keys = dict.fromkeys(PARTITIONS, 0)
        self.known_parked_keys: dict[TopicPartition, int] = {}

    # What Kafka, other members and operators do.

    @precondition(lambda self: len(self.given) < len(PARTITIONS))
    @rule(partition=partitions)
    def is_assigned(self, partition: TopicPartition) -> None:
        if partition not in self.given:
            self.given.add(partition)
            self.takeovers[partition] = 0
            self.assignment.assigned([partition])

    @rule(partition=partitions)
    def is_revoked(self, partition: TopicPartition) -> None:
        self.given.discard(partition)
        self.accumulator.pop(partition, None)
        self.assignment.revoked([partition])

    @rule(partition=partitions, progress=st.integers(0, 5))
    def another_member_takes_over(self, partition: TopicPartition, progress: int) -> None:
        row = self.ledger[partition]
        self.ledger[partition] = Row(row.next_offset + progress, OTHER, row.owner_epoch + 1)

    @rule(partition=partitions, back=st.integers(0, 50))
    def a_replay_goes_back(self, partition: TopicPartition, back: int) -> None:
        row = self.ledger[partition]
        self.ledger[partition] = Row(max(0, row.next_offset - back), row.owner, row.owner_epoch + 1)

    @rule(partition=partitions)
    def a_retry_frees_a_key(self, partition: TopicPartition) -> None:
        self.parked_keys[partition] += 1
        row = self.ledger[partition]
        self.ledger[partition] = replace(row, owner_epoch=row.owner_epoch + 1)

    @rule(seconds=st.sampled_from([1.0, RECLAIM_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What the member does.

    @precondition(lambda self: self.job is None)
    @rule()
    def the_member_asks(self) -> None:
        if wanted := self.assignment.to_acquire(self.now):
            self.job = Job("acquire", wanted)
        elif self.assignment.needs_refresh() or not self.accumulator:
            self.job = Job("look")
        else:
            self.job, self.accumulator = Job("settle", intent=self.accumulator), {}
            for partition, part in self.job.intent.items():
                assert (partition, part.owner_epoch) not in self.lost_with, "submitted again with a lost epoch"

    @precondition(lambda self: self.job is not None and self.job.answer is None)
    @rule()
    def the_database_carries_it_out(self) -> None:
        assert self.job is not None
        match self.job.kind:
            case "acquire":
                for partition in self.job.wanted:
                    row = self.ledger[partition]
                    self.ledger[partition] = Row(row.next_offset, ME, row.owner_epoch + 1)
                    self.known_parked_keys[partition] = self.parked_keys[partition]
                self.job.answer = self._holdings(self.job.wanted)
            case "look":
                self.job.answer = self._holdings(PARTITIONS)
            case "settle":
                self._fence(self.job)
                self.job.answer = []

    def _fence(self, job: Job) -> None:
        for partition, part in job.intent.items():
            row = self.ledger[partition]
            if (row.owner, row.owner_epoch, row.next_offset) != (ME, part.owner_epoch, part.before):
                job.fenced.add(partition)
        if not job.fenced:
            for partition, part in job.intent.items():
                assert self.known_parked_keys[partition] == self.parked_keys[partition], "settled by an old list"
                self.ledger[partition] = replace(self.ledger[partition], next_offset=part.after)

    @precondition(lambda self: self.job is not None and self.job.answer is not None)
    @rule()
    def the_member_is_answered(self) -> None:
        job, self.job = self.job, None
        assert job is not None
        assert job.answer is not None
        match job.kind:
            case "acquire":
                self.assignment.acquired(job.answer)
            case "look":
                self._looks(job.answer)
            case "settle":
                self._is_settled(job)
        for ledger_row in job.answer:
            each = self.assignment.partitions.get(ledger_row.address)
            if each is not None and each.phase is Phase.PLACING and each.owner_epoch == ledger_row.owner_epoch:
                self.expected[ledger_row.address] = ledger_row.next_offset

    def _looks(self, ledger_rows: list[LedgerRow]) -> None:
        try:
            moved = self.assignment.refreshed(ledger_rows, self.now, idle=not self.accumulator)
        except HaltError:
            assert max(self.takeovers.values()) >= 4
            for partition in list(self.given):
                self.is_revoked(partition)
            return
        for partition in moved:
            self.accumulator.pop(partition, None)
            if self.assignment.partitions[partition].phase is Phase.WITHHELD:
                self.takeovers[partition] += 1
                assert self.takeovers[partition] < 5, "two members may not take turns for ever"

    def _is_settled(self, job: Job) -> None:
        for partition in job.fenced & self.given:
            part = job.intent[partition]
            if self.ledger[partition].owner_epoch != part.owner_epoch:
                self.lost_with.add((partition, part.owner_epoch))
            self.accumulator.pop(partition, None)
        if job.fenced:
            self.assignment.fenced(job.fenced & self.given)
            self._goes_back(set(job.intent) - job.fenced)
            return
        for partition, part in job.intent.items():
            self.takeovers[partition] = 0
            self.assignment.settled(partition, part.after)

    def _goes_back(self, partitions: Iterable[TopicPartition]) -> None:
        """The rest of a fenced batch is not settled either; this member has the ledger say where to continue."""
        for partition in set(partitions) & self.given:
            self.accumulator.pop(partition, None)
            self.assignment.fenced([partition])

    @rule()
    def the_consumer_seeks(self) -> None:
        for partition, offset, _ in self.assignment.to_place():
            assert offset == self.expected[partition]
            self.assignment.placed(partition)

    @rule(partition=partitions, count=st.integers(1, 20))
    def records_are_taken(self, partition: TopicPartition, count: int) -> None:
        each = self.assignment.active(partition)
        if each is None:
            return
        if (expected := self.expected.pop(partition, None)) is not None:
            assert each.taken == expected, "the first offset taken is the one that the ledger expects"
        part = self.accumulator.setdefault(partition, Part(each.owner_epoch, each.taken, each.taken))
        assert (part.owner_epoch, part.after) == (each.owner_epoch, each.taken), "taken without a gap"
        part.after = each.taken = each.taken + count

    # What holds at any time.

    @invariant()
    def only_what_kafka_assigned_is_active(self) -> None:
        assert set(self.assignment.partitions) == self.given
        assert set(self.assignment.all_active()) <= self.given
        assert all(self.assignment.active(partition) is None for partition in set(PARTITIONS) - self.given)

    @invariant()
    def what_waits_to_be_written_is_active(self) -> None:
        assert set(self.accumulator) <= set(self.assignment.all_active())

    def teardown(self) -> None:
        """Left alone, the member ends with all its partitions, in agreement with the ledger."""
        for _ in range(8):
            self.now += RECLAIM_SECONDS
            if self.job is None:
                self.the_member_asks()
            if self.job is not None and self.job.answer is None:
                self.the_database_carries_it_out()
            if self.job is not None:
                self.the_member_is_answered()
            self.the_consumer_seeks()
        assert set(self.assignment.all_active()) == self.given
        for partition in self.given:
            each, row = self.assignment.partitions[partition], self.ledger[partition]
            assert (row.owner, row.owner_epoch, row.next_offset) == (ME, each.owner_epoch, each.taken)
            assert self.known_parked_keys[partition] == self.parked_keys[partition]

    def _holdings(self, partitions: Iterable[TopicPartition]) -> list[LedgerRow]:
        return [
            LedgerRow(p.partition + 1, p, self.ledger[p].next_offset, self.ledger[p].owner, self.ledger[p].owner_epoch)
            for p in partitions
        ]


TestMembers = Members.TestCase
TestMembers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
