"""Which part of a column to try next, until every event stood or was set aside. No I/O."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise


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
