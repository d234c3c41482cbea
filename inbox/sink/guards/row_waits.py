"""Decide how long a partition waits for an event of another partition to bring a missing row. No I/O.

A wait belongs to a partition and begins at the event that misses a row. The row may be in what the
other partitions' logs held at that time. The wait ends in vain if none of those offsets has been
settled for `seconds`: after them only an event that is not sent yet could bring the row. The events
behind the first one in its own partition have waited as long. So no event before that partition's
log end of that time waits again, and thousands of orphans cost one wait.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_LONGEST_SECONDS = 3600.0


class RowMissingError(Exception):
    """The signal that this event misses a row, and that its partition waits for the row."""

    def __init__(self, route: str, partition_id: int, offset: int) -> None:
        super().__init__(route, partition_id, offset)
        self.route = route
        self.partition_id = partition_id
        self.offset = offset


@dataclass(slots=True)
class _Wait:
    """A wait of one partition. `ends` are the other logs' ends and `own_end` is its own, as of its beginning."""

    offset: int
    own_end: int
    ends: Mapping[int, int]
    began: float
    moved_at: float
    settled: int


class RowWaits:
    """The waits of one worker, by partition id."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._waits: dict[int, _Wait] = {}
        self._in_vain_until: dict[int, int] = {}

    def __bool__(self) -> bool:
        """Return whether any partition waits."""
        return bool(self._waits)

    def may_wait(self, partition_id: int, offset: int) -> bool:
        """Return whether the event that misses a row waits for the row; otherwise it is parked."""
        if not self._seconds or offset < self._in_vain_until.get(partition_id, 0):
            return False
        wait = self._waits.get(partition_id)
        if wait is None or wait.offset != offset or not self._is_over(wait):
            return True
        self._in_vain_until[partition_id] = max(wait.own_end, offset + 1)
        del self._waits[partition_id]
        return False

    def _is_over(self, wait: _Wait) -> bool:
        now = self._clock()
        return now - wait.moved_at >= self._seconds or now - wait.began >= _LONGEST_SECONDS

    def waits_at(self, partition_id: int, offset: int) -> bool:
        """Return whether the partition waits at this event."""
        wait = self._waits.get(partition_id)
        return wait is not None and wait.offset == offset

    def begin(self, partition_id: int, offset: int, ends: Mapping[int, int], settled: Mapping[int, int]) -> None:
        """Begin a wait; `ends` are the logs' ends and `settled` the ledger's next offsets, by partition id."""
        others = {each: end for each, end in ends.items() if each != partition_id}
        now = self._clock()
        own_end = ends.get(partition_id, offset + 1)
        self._waits[partition_id] = _Wait(offset, own_end, others, now, now, _settled_of(others, settled))

    def observe(self, settled: Mapping[int, int]) -> None:
        """Update the waits by the ledger's next offsets. A wait ends when its partition passes the event."""
        for partition_id, wait in list(self._waits.items()):
            if settled.get(partition_id, 0) > wait.offset:
                del self._waits[partition_id]
            elif (now_settled := _settled_of(wait.ends, settled)) > wait.settled:
                wait.settled, wait.moved_at = now_settled, self._clock()


def _settled_of(ends: Mapping[int, int], settled: Mapping[int, int]) -> int:
    """Return how many of the offsets before these ends are settled, up to a constant."""
    return sum(min(end, settled.get(partition_id, 0)) for partition_id, end in ends.items())
