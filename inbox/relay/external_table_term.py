"""A term of the active relay of an external table: one batch after another is read, sent, delivered and marked.

Each reading looks at every waiting row, in one snapshot. So if a slow transaction commits a row late, the next
reading finds it, whatever was sent before. Nothing is read ahead, because the table lists a row as waiting
until it is marked.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from inbox.errors import TryAgainError
from inbox.relay.in_flight import IN_FLIGHT_BYTES, InFlightRows
from inbox.relay.lease import Lease
from inbox.relay.producer import Delivered, Producer
from inbox.store.outbox.external_table import ExternalRow
from inbox.telemetry import OUTBOX_PENDING, RELAY_EVENTS

_MOST_ROWS, _LEAST_ROWS = 5_000, 50
_REPORT_SECONDS = 0.005
_END_SECONDS = 5.0
_PENDING_SECONDS = 5.0
_SHORTEST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.02, 1.0
_REST_FOR_A_LOOK = 10.0
"""A table without an index of the waiting rows is read whole by every look, so it is read less often."""


class PendingRows(Protocol):
    """A view of the rows that wait."""

    def read(self, *, limit: int, limit_bytes: int) -> list[ExternalRow]: ...
    def waiting(self) -> int: ...


class MarkingLease(Protocol):
    """A writer of the marks of sent rows, for the holder of the lease."""

    def record(self, epoch: int, ids: Sequence[str]) -> bool: ...
    def release(self, epoch: int) -> None: ...


class ExternalTableTerm:
    """The state of one term, forgotten when it ends.

    All of it runs on one thread, and any method may raise TryAgainError.
    """

    def __init__(
        self,
        table: PendingRows,
        marks: MarkingLease,
        lease: Lease,
        epoch: int,
        make_producer: Callable[[Delivered], Producer],
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._marks = marks
        self._lease = lease
        self._epoch = epoch
        self._clock = clock
        self._delivered: list[str] = []
        self._rows_at_once = _LEAST_ROWS
        self._look_seconds = 0.0
        self._counted_at = clock() - _PENDING_SECONDS
        self._first: str | None = None
        self.has_sent = False
        """Whether the first row that was read is sent and marked: an earlier term may have failed at that row."""
        self._in_flight: InFlightRows[ExternalRow] = InFlightRows(make_producer, self._note_delivery)

    def turn(self) -> bool:
        """Do the work that is due; return False if this is the active relay and nothing waits."""
        now = self._clock()
        if self._lease.is_due(now):
            self._record([])
        in_flight = self._in_flight
        busy = bool(in_flight or self._delivered)
        if self._lease.may_send(now):
            busy = busy or self._read(now)
            in_flight.send()
        in_flight.poll(_REPORT_SECONDS if in_flight.in_flight else 0.0)
        if self._delivered and not in_flight:
            self._record(self._delivered)
        return busy or self._lease.epoch is None

    def rest(self) -> None:
        """Pause briefly: the table sends no notification of new rows."""
        time.sleep(max(_SHORTEST_REST_SECONDS, min(_LONGEST_REST_SECONDS, _REST_FOR_A_LOOK * self._look_seconds)))

    def sweep_all(self) -> bool:
        """Return whether no row is left to send; always true, since every reading sees all rows."""
        return True

    def end(self, *, in_order: bool) -> None:
        """Mark what was delivered and drop what is in flight; `in_order`: first wait a short time for the reports."""
        try:
            deadline = self._clock() + (_END_SECONDS if in_order else 0.0)
            while self._in_flight.in_flight and self._clock() < deadline:
                self._in_flight.poll(_REPORT_SECONDS)
            if self._lease.epoch is not None and not self._in_flight.is_open:
                self._record(self._delivered)
            if in_order:
                self._marks.release(self._epoch)
                self._lease.lost()
        except TryAgainError:
            # Rows that were not marked are sent again.
            pass
        finally:
            self._in_flight.discard()

    def _read(self, now: float) -> bool:
        rows = self._table.read(limit=self._rows_at_once, limit_bytes=IN_FLIGHT_BYTES)
        self._look_seconds = self._clock() - now
        if rows and self._first is None:
            self._first = rows[0].event_id
        self._in_flight.add(rows)
        self._count_pending(now, full=len(rows) == self._rows_at_once)
        self._adapt(rows)
        return bool(rows)

    def _adapt(self, rows: Sequence[ExternalRow]) -> None:
        """Adapt the number of rows to read to the room in flight.

        The server examines as many rows as it is asked for.
        """
        size = sum(row.size for row in rows)
        fit = IN_FLIGHT_BYTES * len(rows) // size if size else _MOST_ROWS
        self._rows_at_once = max(_LEAST_ROWS, min(_MOST_ROWS, fit, 4 * self._rows_at_once))

    def _note_delivery(self, row: ExternalRow, partition: int, offset: int) -> None:
        self._delivered.append(row.event_id)

    def _record(self, ids: list[str]) -> None:
        """Mark these rows and extend the lease, or note that the lease was lost."""
        asked_at = self._clock()
        if not self._marks.record(self._epoch, ids):
            self._lease.lost()
            return
        self._lease.kept(asked_at)
        if ids:
            RELAY_EVENTS.inc(len(ids))
            self.has_sent = self.has_sent or self._first in ids
            self._delivered = []

    def _count_pending(self, now: float, *, full: bool) -> None:
        """Update the count of pending rows.

        Behind a batch that is not full there are none. Otherwise they are counted now and then, because
        counting is slow.
        """
        if not full:
            OUTBOX_PENDING.set(len(self._in_flight))
        elif now - self._counted_at >= _PENDING_SECONDS:
            OUTBOX_PENDING.set(self._table.waiting())
            self._counted_at = now
