"""What to do next, as pure functions and small state machines: no clock, no I/O."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise


class Order(StrEnum):
    """What happens to later events of a key whose event was parked."""

    KEY = "key"
    NONE = "none"
    HALT = "halt"


class SameId(StrEnum):
    """What happens to an event whose id was applied before with another payload."""

    PARK = "park"
    COUNT = "count"


@dataclass(frozen=True, kw_only=True)
class FailureLimits:
    """`[failures]`: `attempts` for a handler's own exception, `halt_above` dead letters of a partition in an hour.

    `wait_for_rows` is how long an event waits for a row that another one may bring.
    `handler_timeout` is for one call of a handler, `copy_to` the topic that gets a copy of each dead letter.
    """

    attempts: int = 5
    handler_timeout: timedelta = timedelta(seconds=60)
    order: Order = Order.KEY
    halt_above: int = 10_000
    wait_for_rows: timedelta = timedelta(seconds=30)
    same_id_other_payload: SameId = SameId.PARK
    copy_to: str | None = None


class Verdict(StrEnum):
    """What becomes of one event whose attempt failed."""

    PARK = "park"
    AGAIN = "again"


def after_failure(*, certain: bool, attempts: int, limits: FailureLimits) -> Verdict:
    """`certain`: the event can never succeed; else it was its handler's exception, for the `attempts`-th time."""
    return Verdict.PARK if certain or attempts >= limits.attempts else Verdict.AGAIN


def pause_before_attempt(attempts: int, paused: float) -> float:
    """Seconds before the next try of one event after `attempts` failures: short, for its batch waits with it.

    `paused` is for how long the batch has waited so already: where many events fail, time does not mend them.
    """
    return min(0.005 * float(2 ** min(attempts - 1, 6)), max(0.0, LONGEST_PAUSES - paused))


LONGEST_PAUSES = 0.15
"""Seconds of pauses that the events of one route may cost their batch."""


def backoff(failures: int, jitter: float) -> float:
    """Seconds to wait after that many outages in a row; `jitter` from 0 to 1. At most 5 s, so recovery is quick."""
    return min(5.0, 0.1 * float(2 ** min(failures - 1, 10))) * (0.5 + jitter / 2)


class Foresight:
    """Whether the next part is taken to go well, which is cheap while it does and costs a try where it does not.

    At first it is not: after a change of owner, or of the connection, events may come again. After a part that did not
    go well the next ones are taken with care; the more of them, the oftener the guess was wrong.
    """

    _MOST_PARTS = 64

    def __init__(self) -> None:
        self._careful = 1
        self._next = 1

    @property
    def is_good(self) -> bool:
        return self._careful == 0

    def was_right(self) -> None:
        self._next = max(1, self._next - 1)

    def was_wrong(self) -> None:
        """The same part is to be taken with care now."""
        self._next = min(2 * self._next, self._MOST_PARTS)
        self._careful = self._next

    def learned(self, *, well: bool) -> None:
        """How a part went that was taken with care."""
        self._careful = max(0, self._careful - 1) if well else self._next


class BatchLimit:
    """How many records one transaction may hold, so that none takes long.

    It starts low, for nobody knows how slow a handler is, and is at `largest` within a few fast batches.
    """

    _FIRST = 500
    _SLOW_SECONDS = 10.0
    _FAST_SECONDS = 2.0

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._apart = 0
        self.records = min(self._FIRST, largest)

    def took(self, records: int, seconds: float) -> None:
        """A transaction with that many records was committed."""
        if self._apart > 0:
            self._apart -= records
        elif seconds > self._SLOW_SECONDS:
            self.records = max(1, min(self.records, records) // 2)
        elif seconds < self._FAST_SECONDS and records >= self.records:
            self.records = min(self._largest, self.records * 4)

    def at_least(self, records: int) -> None:
        """Events are compared with others, so that one alone is too few."""
        self.records = max(self.records, min(records, self._largest))

    def failed(self, records: int) -> None:
        """One with that many took too long, or got in another's way."""
        self.records = max(1, min(self.records, records) // 2)

    def one_by_one(self, records: int) -> None:
        """The next so many are each alone in their transaction."""
        self.records, self._apart = 1, records


class Isolation:
    """Which part of a column to try next, until every event stood or was set aside.

    A part that fails is split: at the event that failed where that is known, else into `ways` parts, which costs
    one poison event O(log n) attempts. Once some were found, no part is larger than their mean distance, so that
    of many poison events each costs the work of few others. Parts are tried in order.
    """

    def __init__(self, size: int, *, ways: int = 8, smallest: int = 16) -> None:
        self._ways = ways
        self._smallest = smallest
        self._parts = deque([range(size)] if size else [])
        self._found: set[int] = set()

    def part(self) -> range | None:
        """The places to try now; None at the end."""
        if not self._parts:
            return None
        first = self._parts[0]
        if self._found:
            self._cut([first.start + max(self._smallest, first.start // len(self._found))])
        return self._parts[0]

    def stood(self) -> None:
        """The part succeeded, or its only event was set aside."""
        self._parts.popleft()

    def failed(self, at: int | None = None) -> int | None:
        """The part failed, at place `at` where that is known.

        Returns:
            The place of the event that failed, once that is known; it stays to be tried, alone.
        """
        part = self._parts[0]
        if at is None and len(part) > 1:
            self._cut(part[:: -(-len(part) // self._ways)])
            return None
        culprit = part.start if at is None else at
        self.alone([culprit])
        self._found.add(culprit)
        return culprit

    def alone(self, places: Iterable[int]) -> None:
        """Try these places of the part, which are suspected, each by itself."""
        self._cut([cut for place in places for cut in (place, place + 1)])

    def _cut(self, cuts: Iterable[int]) -> None:
        part = self._parts.popleft()
        edges = sorted({part.start, part.stop, *(cut for cut in cuts if part.start < cut < part.stop)})
        self._parts.extendleft(range(*edge) for edge in reversed(list(pairwise(edges))))
