"""The position of the sink: the ledger beside the log."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from inbox.errors import InboxError
from inbox.events import Settlement, TopicPartition
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.log.reader import LogReader
from inbox.operations.samples.unknown_members import still_unknown
from inbox.operations.status.outbox import OutboxStatus, outbox_status
from inbox.settings import Settings
from inbox.sink.guards.log_check import is_another_topic
from inbox.store.inbox.control.holds import Hold, are_held
from inbox.store.inbox.dead_letters import State
from inbox.store.inbox.ledger import PartitionStatus
from inbox.store.inbox.replays import Replay
from inbox.store.inbox.retention import PruneRound, Retention
from inbox.store.inbox.unknown_members import UnknownMember
from inbox.store.postgres.connection import snapshot
from inbox.store.store import Store, open_store

_BROKER_SECONDS = 3.0
_RATE_WITHIN = timedelta(minutes=5)
_BATCH_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PartitionRow:
    """A partition of the ledger beside its log. `end_offset` is None if the brokers did not report it.

    `rate` is in offsets a second over the last minutes. `oldest_unsettled_at` is the timestamp of
    the record that is settled next, None if there is none or it was not reported. `paused`: the
    partition has more dead letters within an hour than `[failures] halt_above`. `held`: a person
    holds it.

    `high_watermark` is the end of the log, including what an open transaction holds back after
    `end_offset`. `open_transaction_since` is the timestamp of that transaction's first record.
    """

    ledger: PartitionStatus
    end_offset: int | None
    rate: float = 0.0
    oldest_unsettled_at: datetime | None = None
    paused: bool = False
    held: bool = False
    high_watermark: int | None = None
    open_transaction_since: datetime | None = None

    @property
    def held_back(self) -> int:
        """Return the number of offsets from the first record of an open transaction to the high watermark."""
        if self.end_offset is None or self.high_watermark is None:
            return 0
        return max(0, self.high_watermark - self.end_offset)

    @property
    def lag(self) -> int | None:
        """Return the last stable offset minus the next offset, in offsets."""
        return None if self.end_offset is None else max(0, self.end_offset - self.ledger.next_offset)


@dataclass(frozen=True, kw_only=True)
class Status:
    """The report of `inbox status`. `notices` say what could not be found out, and why."""

    sink: str
    schema: str
    looked_at: datetime
    partitions: Sequence[PartitionRow]
    totals: Settlement
    parked: int
    waiting: int
    same_id_other_payload: int
    horizon: datetime | None
    last_replay: Replay | None
    outbox: OutboxStatus | None
    notices: Sequence[str]
    last_prune: PruneRound | None = None
    holds: Sequence[Hold] = ()
    unknown_members: Sequence[UnknownMember] = ()

    @property
    def lag(self) -> int | None:
        """Return the lag over all partitions, or None if the lag of one is not known."""
        lags = [row.lag for row in self.partitions]
        return None if None in lags else sum(lag for lag in lags if lag is not None)

    @property
    def rate(self) -> float:
        return sum(row.rate for row in self.partitions)

    @property
    def oldest_unsettled_seconds(self) -> float | None:
        """Return the age of the oldest event that waits to be settled, in seconds.

        Returns:
            None if no event waits, or if its time was not reported.
        """
        times = [row.oldest_unsettled_at for row in self.partitions if row.oldest_unsettled_at is not None]
        return max(0.0, (self.looked_at - min(times)).total_seconds()) if times else None


def read_status(settings: Settings) -> Status:
    """Return the ledger as it is now, and its partitions' logs if the brokers answer within a few seconds.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    schema = settings.database.schema
    with open_store(settings.database, command="status", doing="reading the ledger") as store:
        ledger = _read(store, settings.failures.halt_above)
        unknown = still_unknown(store.connection, settings.routes, store.unknown_members.by_route())
    current = [row for row in ledger.rows if not row.set_aside]
    logs = _look_at_logs(settings, current)
    outbox = outbox_status(settings.database, settings.outbox) if settings.outbox is not None else None
    totals = Settlement()
    for row in ledger.rows:
        totals.add(row.settlement)
    return Status(
        sink=settings.sink.name,
        schema=schema,
        looked_at=datetime.now(UTC),
        partitions=[_row(row, ledger, logs) for row in current],
        totals=totals,
        parked=ledger.letters.get(State.PARKED, 0),
        waiting=ledger.letters.get(State.WAITING, 0),
        same_id_other_payload=sum(row.same_id_other_payload for row in ledger.rows),
        horizon=ledger.horizon,
        last_prune=ledger.last_prune,
        holds=ledger.holds,
        unknown_members=unknown,
        last_replay=ledger.last_replay,
        outbox=outbox if isinstance(outbox, OutboxStatus) else None,
        notices=[*logs.notices, *([outbox] if isinstance(outbox, str) else [])],
    )


@dataclass(frozen=True)
class _LedgerFacts:
    rows: Sequence[PartitionStatus]
    rates: Mapping[TopicPartition, float]
    letters: Mapping[State, int]
    last_replay: Replay | None
    horizon: datetime | None
    paused: Collection[int]
    last_prune: PruneRound | None
    holds: Sequence[Hold]


@dataclass(frozen=True)
class _LogFacts:
    """The answers that the brokers gave in time.

    `times` are the timestamps of the records that are settled next. `open_since` are those of the
    records at which the last stable offset stands below the high watermark.
    """

    ends: Mapping[TopicPartition, int]
    times: Mapping[TopicPartition, datetime]
    notices: Sequence[str] = ()
    watermarks: Mapping[TopicPartition, int] = field(default_factory=dict)
    open_since: Mapping[TopicPartition, datetime] = field(default_factory=dict)


def _row(row: PartitionStatus, ledger: _LedgerFacts, logs: _LogFacts) -> PartitionRow:
    return PartitionRow(
        ledger=row,
        end_offset=logs.ends.get(row.address),
        rate=ledger.rates.get(row.address, 0.0),
        oldest_unsettled_at=logs.times.get(row.address),
        paused=row.partition_id in ledger.paused,
        held=are_held(ledger.holds, row.address),
        high_watermark=logs.watermarks.get(row.address),
        open_transaction_since=logs.open_since.get(row.address),
    )


def _read(store: Store, halt_above: int) -> _LedgerFacts:
    ledger, dead_letters = store.ledger, store.dead_letters
    with snapshot(store.connection):
        rows = ledger.status()
        return _LedgerFacts(
            rows,
            ledger.rates(_RATE_WITHIN),
            dead_letters.count_by_state(),
            store.replays.newest(),
            store.horizons.latest(),
            dead_letters.parked_above([row.partition_id for row in rows], halt_above),
            Retention(store.connection, store.schema).last_round(),
            store.holds.in_force(),
        )


def _look_at_logs(settings: Settings, ledger: Sequence[PartitionStatus]) -> _LogFacts:
    if not ledger:
        return _LogFacts({}, {})
    next_offsets = {row.address: row.next_offset for row in ledger}
    try:
        cluster = Cluster(settings.kafka, timeout_seconds=_BROKER_SECONDS)
        cluster.cluster_id()
        here = cluster.topics(sorted({partition.topic for partition in next_offsets}))
        known = {address for view in here.values() for address in view.addresses()}
        here_too = [partition for partition in next_offsets if partition in known]
        # In this order, so that a transaction that ends between the questions is not taken for an open one.
        watermarks = cluster.high_watermarks(here_too)
        ends = cluster.stable_ends(here_too)
    except InboxError as error:
        return _LogFacts({}, {}, [f"no end offsets and no lag: {error}"])
    absent = [str(partition) for partition in next_offsets if partition not in known]
    behind = {at: next_offsets[at] for at, end in ends.items() if next_offsets[at] < end}
    notices = [f"the cluster has no {', '.join(absent)} any more"] if absent else []
    notices += _was_recreated(ledger, here)
    # The ledger was read first, so that a running sink is never ahead of the ends.
    notices += [
        f"{at}: the ledger expects offset {next_offsets[at]} next, but the log ends at {end}; run `inbox check`"
        for at, end in sorted(ends.items())
        if end < next_offsets[at]
    ]
    held_back = {at: end for at, end in ends.items() if end < watermarks[at]}
    open_since = _first_times(settings, held_back, uncommitted=True)
    return _LogFacts(ends, _first_times(settings, behind), notices, watermarks, open_since)


def _was_recreated(ledger: Sequence[PartitionStatus], here: Mapping[str, TopicView]) -> list[str]:
    """Return a notice for each recreated topic.

    The figures of such a topic mean nothing: its offsets belong to other events.
    """
    topics = {row.address.topic: here[row.address.topic].topic_id for row in ledger if row.address.topic in here}
    again = {row.address.topic for row in ledger if is_another_topic(row.topic_id, topics.get(row.address.topic))}
    return [
        f"topic {name} was deleted and created again: its end offsets are not of the log that the ledger speaks of; "
        "run `inbox check`"
        for name in sorted(again)
    ]


def _first_times(
    settings: Settings, positions: Mapping[TopicPartition, int], *, uncommitted: bool = False
) -> Mapping[TopicPartition, datetime]:
    if not positions:
        return {}
    with closing(LogReader(settings.kafka, batch_bytes=_BATCH_BYTES, uncommitted=uncommitted)) as reader:
        return reader.first_times(positions, seconds=_BROKER_SECONDS)
