"""Find the partitions that have more dead letters within an hour than `[failures] halt_above`.

A sink that takes no more records from such a partition loses nothing: its dead letters are
committed, and later records wait in Kafka. The dead letters are counted in the table, so that the
count survives restarts and moves with the partition.
"""

import time
from collections.abc import Callable, Collection, Sequence

from inbox.store.inbox.dead_letters import DeadLetter, DeadLetters, State
from inbox.store.postgres.connection import Connection

_LOOK_SECONDS = 5.0


class LetterLimit:
    """The partitions above the limit that one connection knows, by id."""

    def __init__(self, dead_letters: DeadLetters, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._dead_letters = dead_letters
        self._limit = limit
        self._clock = clock
        self._over: frozenset[int] | None = None
        self._looked_at = 0.0

    def above(self, connection: Connection, partition_ids: Sequence[int]) -> frozenset[int]:
        """Count now, and return the partitions among these that are above the limit."""
        found = self._dead_letters.parked_above(connection, partition_ids, self._limit)
        self._over = ((self._over or frozenset()) - set(partition_ids)) | found
        return found

    def above_after(self, connection: Connection, letters: Sequence[DeadLetter]) -> frozenset[int]:
        """Count like `above`, in the transaction that parked these dead letters. A rollback needs no other call."""
        parked = sorted({letter.partition_id for letter in letters if letter.state is State.PARKED})
        return self._dead_letters.parked_above(connection, parked, self._limit) if parked else frozenset()

    def still_above(self, connection: Connection, partition_ids: Collection[int]) -> frozenset[int]:
        """Return the same as `above` to a caller that asks every second.

        Partitions below the limit are not counted again, and the others every 5 seconds.
        """
        if self._over is None:
            return self.above(connection, list(partition_ids))
        candidates = self._over & set(partition_ids)
        if candidates and self._clock() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = self._clock()
            return self.above(connection, sorted(candidates))
        return candidates

    def passed(self, partition_ids: Collection[int]) -> None:
        """Record that a committed batch brought these partitions above the limit."""
        if self._over is not None:
            self._over |= set(partition_ids)
