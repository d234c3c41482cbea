"""Choose the part of a route's batch to try next, until every event is applied or set aside. No I/O."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise


class Isolation:
    """A search that isolates the events of a route's batch that fail.

    A part that fails is split: at the failed event if it is known, otherwise into `ways` parts. One
    poison event thus costs O(log n) attempts. Once some are found, no part is larger than their
    mean distance (and not smaller than `smallest`), so that each of many poison events costs the
    work of few others. Parts are tried in order.
    """

    def __init__(self, size: int, *, ways: int = 8, smallest: int = 16) -> None:
        self._ways = ways
        self._smallest = smallest
        self._parts = deque([range(size)] if size else [])
        self._found: set[int] = set()

    def part(self) -> range | None:
        """Return the range of indexes to try now, or None at the end."""
        if not self._parts:
            return None
        first = self._parts[0]
        if self._found:
            self._cut([first.start + max(self._smallest, first.start // len(self._found))])
        return self._parts[0]

    def stood(self) -> None:
        """Record that the part succeeded, or that its only event was set aside."""
        self._parts.popleft()

    def failed(self, at: int | None = None) -> int | None:
        """Record that the part failed, at index `at` if that is known.

        Returns:
            The index of the failed event, or None if it is not known yet. The event is tried again
            alone.
        """
        part = self._parts[0]
        if at is None and len(part) > 1:
            self._cut(part[:: -(-len(part) // self._ways)])
            return None
        culprit = part.start if at is None else at
        self.alone([culprit])
        self._found.add(culprit)
        return culprit

    def alone(self, indexes: Iterable[int]) -> None:
        """Try each of these suspected indexes of the part by itself."""
        self._cut([cut for index in indexes for cut in (index, index + 1)])

    def _cut(self, cuts: Iterable[int]) -> None:
        part = self._parts.popleft()
        edges = sorted({part.start, part.stop, *(cut for cut in cuts if part.start < cut < part.stop)})
        self._parts.extendleft(range(*edge) for edge in reversed(list(pairwise(edges))))
