"""Find the partitions that have more dead letters within an hour than `[failures] halt_above`.

A sink that takes no more records from such a partition loses nothing: its dead letters are
committed, and later records wait in Kafka. The dead letters are counted in the table, so that the
count survives restarts and moves with the partition.
"""

import time
from collections.abc import Callable, Collection, Sequence

from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.dead_letters import DeadLetters, State

_LOOK_SECONDS = 5.0


class LetterLimit(Guard):
    """The partitions above the limit that one connection knows, by id."""

    def __init__(self, dead_letters: DeadLetters, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._dead_letters = dead_letters
        self._limit = limit
        self._clock = clock
        self._over: frozenset[int] | None = None
        self._looked_at = 0.0

    def acquired(self, partition_ids: Sequence[int]) -> None:
        self.above(partition_ids)

    def above(self, partition_ids: Sequence[int]) -> frozenset[int]:
        """Count now, and return the partitions among these that are above the limit."""
        found = self._dead_letters.parked_above(partition_ids, self._limit)
        self._over = ((self._over or frozenset()) - set(partition_ids)) | found
        return found

    def is_above(self, partition_id: int) -> bool:
        """Return whether the partition was above the limit when its dead letters were last counted."""
        return self._over is not None and partition_id in self._over

    def before_fence(self, outcome: BatchOutcome) -> None:
        """Count in the transaction that parked the dead letters. One above the limit is kept as well."""
        parked = sorted({letter.partition_id for letter in outcome.letters if letter.state is State.PARKED})
        if parked:
            outcome.too_many_letters = self._dead_letters.parked_above(parked, self._limit)

    def still_above(self, partition_ids: Collection[int]) -> frozenset[int]:
        """Return the same as `above` to a caller that asks every second.

        Partitions below the limit are not counted again, and the others every 5 seconds.
        """
        if self._over is None:
            return self.above(list(partition_ids))
        candidates = self._over & set(partition_ids)
        if candidates and self._clock() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = self._clock()
            return self.above(sorted(candidates))
        return candidates

    def committed(self, outcome: BatchOutcome) -> None:
        if self._over is not None:
            self._over |= outcome.too_many_letters
