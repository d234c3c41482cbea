"""Decide which keys of a retry share a transaction, and when a retry stops because its cause is still there."""

import time
from collections.abc import Callable, Iterator, Sequence

from inbox.operations.dead_letters.plan import UnitPlan
from inbox.sink.letters.group_size import GroupSize
from inbox.sink.letters.resolver import Retried

_FEWEST_KEYS, _FIRST_KEYS = 5, 20
_MOST_KEYS = 1000
_MOST_EVENTS = 2000
_LONGEST_SECONDS = 2.0
"""The time for which a transaction should hold up the sink's batches of its partition at most."""


def groups_of(units: Sequence[UnitPlan]) -> Iterator[Sequence[UnitPlan]]:
    """Yield the units in groups of one route and partition each that are no larger than those of a retry."""
    start = 0
    while start < len(units):
        stop = _end(units, start, _MOST_KEYS)
        yield units[start:stop]
        start = stop


class Groups:
    """The groups of keys that a retry applies together: few at first, twice as many after each group that is quick.

    While keys fail, a group is not larger than the number of failures in a row that end the retry. So a retry
    whose cause is still there ends after exactly `most_failed` keys; with None it never ends early.
    """

    def __init__(self, most_failed: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_failed = most_failed
        self._clock = clock
        self._size = GroupSize(_FIRST_KEYS, fewest=_FEWEST_KEYS, most=_MOST_KEYS, seconds=_LONGEST_SECONDS)
        self._in_a_row = 0
        self.left = 0
        """The number of keys that are not tried yet."""

    def of(self, units: Sequence[UnitPlan]) -> Iterator[Sequence[UnitPlan]]:
        """Yield the units in groups of one route and partition each, until the retry stops."""
        start, self.left = 0, len(units)
        while start < len(units) and not self._failed_enough():
            stop, since = _end(units, start, self._most_keys()), self._clock()
            yield units[start:stop]
            self._size.adapt(stop - start, self._clock() - since)
            start, self.left = stop, len(units) - stop

    def note(self, outcome: Retried) -> None:
        """Take note of what became of the next key."""
        self._in_a_row = self._in_a_row + 1 if outcome.failed and not outcome.applied else 0

    def _failed_enough(self) -> bool:
        return self._most_failed is not None and self._in_a_row >= self._most_failed

    def _most_keys(self) -> int:
        if self._most_failed is not None and self._in_a_row:
            return min(self._size.keys, self._most_failed - self._in_a_row)
        return self._size.keys


def _end(units: Sequence[UnitPlan], start: int, most_keys: int) -> int:
    """Return the index behind the group that begins at `start`."""
    first, stop, events = units[start].unit, start + 1, len(units[start].letters)
    for each in units[stop : start + most_keys]:
        events += len(each.letters)
        if (each.unit.route_id, each.unit.partition_id) != (first.route_id, first.partition_id):
            break
        if events > _MOST_EVENTS:
            break
        stop += 1
    return stop
