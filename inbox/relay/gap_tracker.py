"""Track how far back to look for rows that committed late: pure, no clock, no I/O.

A row gets its position when it is inserted and becomes visible when its transaction commits, which may happen
in another order. So below the highest position read so far, the *front*, there are *gaps*: positions without a
row, whose transactions may still commit, or were rolled back. Every reading looks into the gaps and past the
front, in one snapshot.

A transaction has its id before its rows have positions (the trigger `outbox_wake` ensures this). The relay
itself draws a transaction id now and then. If a gap was noticed before that, the id is the gap's *bound*: the
gap belongs to transactions below it. Once none of these is running any more (PostgreSQL manual,
`pg_snapshot_xmin`) and the gap is still there, they were rolled back. The relay draws an id while it continues
to read, so an id bounds only the gaps that were noticed before the drawing began.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MOST_GAPS = 2_000
"""The most gaps kept apart. More are merged with the positions between them: slower to read, but bounded."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of positions from `first` to `last` without a row.

    `reading` is the number of the reading that noticed it. `bound` is None until a transaction id was drawn
    after that.
    """

    first: int
    last: int
    reading: int
    bound: int | None = None


class GapTracker:
    """The state that decides where the next reading looks.

    `front` is the highest position read so far, in `readings` readings.
    """

    def __init__(self, sent_below: int) -> None:
        self.front = sent_below
        self.readings = 0
        self._gaps: list[Gap] = []

    @property
    def gaps(self) -> list[tuple[int, int]]:
        return [(gap.first, gap.last) for gap in self._gaps]

    @property
    def read_below(self) -> int:
        """Return the position up to which every row was read, or can never appear."""
        return self._gaps[0].first - 1 if self._gaps else self.front

    def observe(self, positions: Sequence[int], xmin: int) -> None:
        """Record a reading of these positions, rising, in a snapshot in which no transaction below `xmin` is running.

        A reading may end early, so nothing is known past its last row. A reading without rows looked
        everywhere.
        """
        self.readings += 1
        self._retire(xmin, until=positions[-1] if positions else None)
        for position in positions:
            if position <= self.front:
                self._fill(position)
            else:
                if position > self.front + 1:
                    self._gaps.append(Gap(self.front + 1, position - 1, self.readings))
                self.front = position
        while len(self._gaps) > MOST_GAPS:
            self._gaps = list(_in_pairs(self._gaps))

    def bound(self, transaction_id: int, *, readings: int) -> None:
        """Record that the relay drew this transaction id after this many readings, whatever it has read since."""
        self._gaps = [
            replace(gap, bound=transaction_id) if gap.bound is None and gap.reading <= readings else gap
            for gap in self._gaps
        ]

    def reopen(self, first: int, last: int) -> None:
        """Reopen a range in which a sweep found an unsent row, below every range that was looked into."""
        self._gaps.insert(bisect_left(self._gaps, first, key=lambda gap: gap.first), Gap(first, last, self.readings))

    def _retire(self, xmin: int, until: int | None) -> None:
        self._gaps = [
            gap
            for gap in self._gaps
            if gap.bound is None or gap.bound > xmin or (until is not None and gap.last > until)
        ]

    def _fill(self, position: int) -> None:
        index = bisect_left(self._gaps, position, key=lambda gap: gap.last)
        if index == len(self._gaps) or self._gaps[index].first > position:
            return
        gap = self._gaps[index]
        parts = replace(gap, last=position - 1), replace(gap, first=position + 1)
        self._gaps[index : index + 1] = [part for part in parts if part.first <= part.last]


def _in_pairs(gaps: Sequence[Gap]) -> Iterable[Gap]:
    for one, other in zip(gaps[::2], gaps[1::2], strict=False):
        bound = None if one.bound is None or other.bound is None else max(one.bound, other.bound)
        yield Gap(one.first, other.last, max(one.reading, other.reading), bound)
    if len(gaps) % 2:
        yield gaps[-1]
