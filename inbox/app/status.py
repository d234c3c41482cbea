"""Where the sink stands: the ledger beside the log."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from inbox.errors import InboxError
from inbox.events import Settlement, TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.settings import Settings
from inbox.store.database import SinkConnection, connect, snapshot, starting
from inbox.store.dead_letters import DeadLetters, State
from inbox.store.ledger import Ledger, PartitionStatus
from inbox.store.migrations import require_current

_BROKER_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class PartitionRow:
    """A partition of the ledger; `end_offset` is None where the brokers did not say it."""

    ledger: PartitionStatus
    end_offset: int | None

    @property
    def lag(self) -> int | None:
        """Last stable offset minus next offset, in offsets."""
        return None if self.end_offset is None else max(0, self.end_offset - self.ledger.next_offset)


@dataclass(frozen=True, kw_only=True)
class Status:
    """All that `inbox status` says; `notices` are what could not be found out, and why."""

    sink: str
    schema: str
    partitions: Sequence[PartitionRow]
    totals: Settlement
    parked: int
    waiting: int
    same_id_other_payload: int
    horizon: datetime | None
    notices: Sequence[str]


def read_status(settings: Settings) -> Status:
    """The ledger as it is now, and the ends of its partitions if the brokers answer within a few seconds.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    schema = settings.database.schema
    connection = connect(settings.database, application_name="inbox status")
    with closing(connection), starting("reading the ledger"):
        rows, dead_letters = _read(connection, schema)
    current = [row for row in rows if not row.set_aside]
    ends, notices = _ends(settings, [row.address for row in current])
    totals = Settlement()
    for row in rows:
        totals.add(row.settlement)
    return Status(
        sink=settings.sink.name,
        schema=schema,
        partitions=[PartitionRow(ledger=row, end_offset=ends.get(row.address)) for row in current],
        totals=totals,
        parked=dead_letters.get(State.PARKED, 0),
        waiting=dead_letters.get(State.WAITING, 0),
        same_id_other_payload=sum(row.same_id_other_payload for row in rows),
        horizon=None,
        notices=notices,
    )


def _read(connection: SinkConnection, schema: str) -> tuple[list[PartitionStatus], Mapping[State, int]]:
    require_current(connection, schema)
    with snapshot(connection):
        return Ledger(schema).status(connection), DeadLetters(schema).count_by_state(connection)


def _ends(
    settings: Settings, partitions: Sequence[TopicPartition]
) -> tuple[Mapping[TopicPartition, int], Sequence[str]]:
    if not partitions:
        return {}, []
    try:
        cluster = Cluster(settings.kafka, timeout_seconds=_BROKER_SECONDS)
        cluster.cluster_id()
        here = cluster.topics(sorted({partition.topic for partition in partitions}))
        known = {address for view in here.values() for address in view.addresses()}
        ends = cluster.stable_ends([partition for partition in partitions if partition in known])
    except InboxError as error:
        return {}, [f"no end offsets and no lag: {error}"]
    absent = [str(partition) for partition in partitions if partition not in known]
    return ends, [f"the cluster has no {', '.join(absent)} any more"] if absent else []
