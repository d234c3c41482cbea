"""Find the rows to send next.

The server reads ahead, including rows that committed late. A sweep finds rows that reading might miss.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from inbox.relay.gap_tracker import GapTracker
from inbox.store.outbox.relay_queries import OutboxReading, OutboxRow

MOST_ROWS = 5_000
_LEAST_ROWS = 50
_SWEEP_ROWS = 20_000


class OutboxRows(Protocol):
    """The outbox. From `start_reading` to `reading` it answers no other question."""

    @property
    def is_reading(self) -> bool: ...
    def start_reading(self, front: int, gaps: Sequence[tuple[int, int]], *, limit: int, limit_bytes: int) -> None: ...
    def has_read(self) -> bool: ...
    def reading(self) -> OutboxReading: ...
    def sweep(self, after: int, until: int, *, limit: int) -> tuple[int | None, int | None]: ...
    def last_position(self) -> int: ...


class OutboxReader:
    """A reader that does one reading after another, and takes in each whole before it starts the next.

    `at_end`: the latest reading found nothing; `is_behind`: it found so many rows that it pays to read ahead.
    """

    def __init__(self, table: OutboxRows, gap_tracker: GapTracker, *, most_bytes: int) -> None:
        self._table = table
        self._gap_tracker = gap_tracker
        self._most_bytes = most_bytes
        self._known: Collection[int] = ()
        self._rows_at_once = _LEAST_ROWS
        self._swept_to = 0
        self.at_end = self.is_behind = False

    @property
    def is_reading(self) -> bool:
        return self._table.is_reading

    def start(self, room: int, known: Collection[int]) -> None:
        """Start to read rows of about `room` bytes.

        `known` are the positions of rows that were read and are not marked yet.
        """
        # Keep the positions as of now: a row marked meanwhile may still look unmarked in the reading's snapshot.
        self._known = known
        self._table.start_reading(
            self._gap_tracker.front, self._gap_tracker.gaps, limit=self._rows_at_once, limit_bytes=room
        )

    def has_read(self) -> bool:
        return self._table.has_read()

    def take_in(self) -> list[OutboxRow]:
        """Return the rows that were read and have to be sent, in order of position."""
        reading = self._table.reading()
        rows, known = reading.rows, self._known
        self._gap_tracker.observe([row.position for row in rows], reading.xmin)
        self._adapt(rows)
        self.at_end, self.is_behind = not rows, len(rows) >= _LEAST_ROWS
        return [row for row in rows if not row.passed and row.position not in known]

    def give_up(self) -> None:
        """Finish the current reading, to leave the connection free."""
        if self.is_reading:
            self._table.reading()

    def sweep(self, recorded_below: int) -> int | None:
        """Sweep one step over the rows recorded as sent; return the position of the first unsent row, or None.

        At the end of the recorded rows the next sweep starts over.
        """
        last, missed = self._table.sweep(self._swept_to, recorded_below, limit=_SWEEP_ROWS)
        if missed is not None and last is not None:
            self._gap_tracker.reopen(missed, last)
        self._swept_to = last or 0
        return missed

    def sweep_all(self, recorded_below: int) -> int | None:
        """Sweep all rows recorded as sent; return the position of the first unsent row, or None."""
        self._swept_to = 0
        while True:
            missed = self.sweep(recorded_below)
            if missed is not None or self._swept_to == 0:
                return missed

    def rows_ahead(self) -> int:
        """Return about how many rows have not been read yet."""
        return 0 if self.at_end else max(0, self._table.last_position() - self._gap_tracker.front)

    def _adapt(self, rows: Sequence[OutboxRow]) -> None:
        """Adapt the number of rows to read to the room in flight.

        The server examines as many rows as it is asked for.
        """
        size = sum(len(row.value) for row in rows)
        fit = self._most_bytes * len(rows) // size if size else MOST_ROWS
        self._rows_at_once = max(_LEAST_ROWS, min(MOST_ROWS, fit, 4 * self._rows_at_once))
