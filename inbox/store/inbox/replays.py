"""The replays: the ranges that the ledger settles again, who requested them, and their results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from inbox.events import Settlement, TopicPartition
from inbox.store.inbox.ledger import ActiveReplay, OffsetAdvance
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


class Mode(StrEnum):
    """The ways to treat events that took effect before."""

    SKIP_APPLIED = "skip-applied"
    FORCE = "force"
    SHADOW = "shadow"


class ReplayState(StrEnum):
    """The state of a replay or one of its ranges. Superseded: a resume decided where the partition continues."""

    RUNNING = "running"
    SETTLED = "settled"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Range(NamedTuple):
    """The offsets of one partition that a replay settles again."""

    partition_id: int
    from_offset: int
    until_offset: int


class RunningRange(NamedTuple):
    """A range of a replay in progress; everything below `next_offset` is settled again."""

    partition_id: int
    replay_id: int
    from_offset: int
    until_offset: int
    next_offset: int


@dataclass(frozen=True, kw_only=True)
class ReplayedRange:
    """The result of a range; from `ledger_offset` the ledger continues when the range is settled."""

    partition_id: int
    address: TopicPartition
    from_offset: int
    until_offset: int
    next_offset: int
    ledger_offset: int
    state: ReplayState
    settlement: Settlement


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A row of `replays` with its ranges; `route` is None for all."""

    replay_id: int
    mode: Mode
    route: str | None
    requested_by: str
    state: ReplayState
    created_at: datetime
    ended_at: datetime | None
    ranges: Sequence[ReplayedRange]
    per_second: int | None = None
    """The most events that all workers settle of it a second, or None for no limit."""


class Replays:
    """The reads and writes of `replays` and `replay_ranges`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("replays", schema)

    def active(self, partition_ids: Sequence[int]) -> Mapping[int, ActiveReplay]:
        """Return the replays in progress on these partitions, by partition id."""
        rows = self._connection.execute(self._sql["active"], {"partition_ids": list(partition_ids)})
        return {row[0]: ActiveReplay(*row[1:]) for row in rows}

    def lock(self, topics: Sequence[str]) -> None:
        """Lock the topics: nothing of them is settled or acquired before the transaction ends."""
        self._connection.execute(self._sql["lock_partitions"], {"topics": list(topics)})

    def begin(
        self,
        ranges: Iterable[Range],
        *,
        mode: Mode,
        route: str | None,
        requested_by: str,
        per_second: int | None = None,
    ) -> int:
        """Move the ledger back to the start of each range, and fence the owners; the partitions are locked.

        Returns:
            The replay's id.
        """
        asked = {"mode": mode.value, "route": route, "requested_by": requested_by, "per_second": per_second}
        replay_id: int = self._connection.execute(self._sql["begin"], asked).fetchall()[0][0]
        for each in ranges:
            self._connection.execute(self._sql["go_back"], {"replay_id": replay_id, **each._asdict()})
        return replay_id

    def note(self, replay_id: int, advance: OffsetAdvance) -> None:
        """Count what a batch settled again; the ledger's own counts cover only the first time."""
        endings = {ending.value: count for ending, count in advance.settlement.by_ending().items()}
        at = {"replay_id": replay_id, "partition_id": advance.partition_id, "after": advance.after}
        self._connection.execute(self._sql["note"], {**at, **endings})

    def end(self, replay_id: int, partition_ids: Iterable[int], state: ReplayState) -> None:
        """Let the ledger continue from its earlier offset, in locked partitions; their owners are fenced."""
        self._connection.execute(self._sql["lock"], {"replay_id": replay_id})
        for partition_id in partition_ids:
            ended = {"replay_id": replay_id, "partition_id": partition_id, "state": state.value}
            self._connection.execute(self._sql["end_range"], ended)
        self._connection.execute(self._sql["end_replay"], {"replay_id": replay_id})

    def supersede(self, partition_id: int) -> None:
        """End a replay of this partition, wherever the ledger is."""
        for (replay_id,) in self._connection.execute(self._sql["supersede"], {"partition_id": partition_id}).fetchall():
            self._connection.execute(self._sql["lock"], {"replay_id": replay_id})
            self._connection.execute(self._sql["end_replay"], {"replay_id": replay_id})

    def running(self, topics: Sequence[str]) -> Mapping[int, RunningRange]:
        """Return the ranges in progress in these topics, by partition id."""
        rows = self._connection.execute(self._sql["running"], {"topics": list(topics)})
        return {row[0]: RunningRange(*row) for row in rows}

    def topics_of(self, replay_id: int) -> list[str]:
        return [row[0] for row in self._connection.execute(self._sql["topics_of"], {"replay_id": replay_id})]

    def newest(self) -> Replay | None:
        """Return the replay that was requested last."""
        row = self._connection.execute(self._sql["newest"]).fetchone()
        return self.read(row[0])[-1] if row and row[0] is not None else None

    def read(self, replay_id: int | None = None) -> list[Replay]:
        """Return all replays, the newest last, or the replay with this id."""
        found: dict[int, Replay] = {}
        ranges: dict[int, list[ReplayedRange]] = {}
        for row in self._connection.execute(self._sql["replays"], {"replay_id": replay_id}):
            of_replay = ranges.setdefault(row[0], [])
            of_replay.append(
                ReplayedRange(
                    partition_id=row[18],
                    address=TopicPartition(row[7], row[8]),
                    from_offset=row[9],
                    until_offset=row[10],
                    next_offset=row[11],
                    ledger_offset=row[12],
                    state=ReplayState(row[13]),
                    settlement=Settlement(*row[14:18]),
                )
            )
            found[row[0]] = Replay(
                replay_id=row[0],
                mode=Mode(row[1]),
                route=row[2],
                requested_by=row[3],
                state=ReplayState(row[4]),
                created_at=row[5],
                ended_at=row[6],
                ranges=of_replay,
                per_second=row[19],
            )
        return list(found.values())
