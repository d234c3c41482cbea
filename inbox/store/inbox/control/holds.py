"""The holds: the topics, or partitions of them, of which the sink takes no records until a person releases them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from inbox.events import TopicPartition
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A hold in force. `partitions` is None for all; `route` is the one that was asked for, if one was."""

    hold_id: int
    route: str | None
    topic: str
    partitions: tuple[int, ...] | None
    reason: str
    requested_by: str
    created_at: datetime
    held_until: datetime | None

    def holds(self, address: TopicPartition) -> bool:
        """Return whether the hold is on this partition."""
        return self.topic == address.topic and (self.partitions is None or address.partition in self.partitions)

    @property
    def where(self) -> str:
        """Return the topic and the partitions as the option `--topic` takes them."""
        return self.topic if self.partitions is None else f"{self.topic}:{','.join(map(str, self.partitions))}"


class Holds:
    """The reads and writes of `holds`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("control", schema)

    def begin(
        self,
        topic: str,
        partitions: Sequence[int] | None,
        *,
        route: str | None,
        reason: str,
        requested_by: str,
        lasts: timedelta | None,
    ) -> int:
        """Hold a topic, or some of its partitions, for a time or until a release; return the hold's id."""
        asked = {
            "route": route,
            "topic": topic,
            "partitions": None if partitions is None else list(partitions),
            "reason": reason,
            "requested_by": requested_by,
            "seconds": None if lasts is None else lasts.total_seconds(),
        }
        row = self._connection.execute(self._sql["hold"], asked).fetchone()
        return int(row[0]) if row else 0

    def in_force(self) -> list[Hold]:
        """Return the holds that are neither released nor over, the oldest first."""
        columns = ("hold_id", "route", "topic", "partitions", "reason", "requested_by", "created_at", "held_until")
        found = [dict(zip(columns, row, strict=True)) for row in self._connection.execute(self._sql["holds_in_force"])]
        return [Hold(**{**row, "partitions": _tuple(row["partitions"])}) for row in found]

    def release(self, hold_ids: Iterable[int], *, released_by: str) -> list[int]:
        """End the holds that are still in force, and return their ids."""
        asked = {"hold_ids": list(hold_ids), "released_by": released_by}
        return [row[0] for row in self._connection.execute(self._sql["release"], asked).fetchall()]


def _tuple(partitions: list[int] | None) -> tuple[int, ...] | None:
    return None if partitions is None else tuple(partitions)


def are_held(holds: Sequence[Hold], address: TopicPartition) -> bool:
    """Return whether one of the holds is on this partition."""
    return any(hold.holds(address) for hold in holds)
