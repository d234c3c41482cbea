"""Mark delivered rows as sent, and with the same statement extend the lease or find that it was lost."""

from collections.abc import Callable, Sequence
from typing import Protocol

from inbox.relay.gap_tracker import GapTracker
from inbox.relay.lease import Lease
from inbox.store.outbox.relay_queries import Delivery, OutboxRow
from inbox.telemetry import RELAY_EVENTS

_ROWS = 2_000
_SECONDS = 0.05


class RecordingLease(Protocol):
    """The row of the active relay. From `start_recording` to `recorded` it answers no other question."""

    @property
    def is_recording(self) -> bool: ...
    def start_recording(self, epoch: int, sent: Sequence[Delivery], sent_below: int) -> None: ...
    def has_recorded(self) -> bool: ...
    def recorded(self) -> int | None: ...


class SentMarker:
    """A recorder of delivered rows, with one statement at a time.

    A row is first in `delivered`, then with the running statement, then marked for good.
    """

    def __init__(
        self,
        row: RecordingLease,
        lease: Lease,
        epoch: int,
        gap_tracker: GapTracker,
        sent_below: int,
        clock: Callable[[], float],
    ) -> None:
        self._row = row
        self._lease = lease
        self._epoch = epoch
        self._gap_tracker = gap_tracker
        self._clock = clock
        self.delivered: list[Delivery] = []
        self._being_marked: list[Delivery] = []
        self._asked_below = self._asked_readings = 0
        self._asked_at = self._marked_at = clock()
        self.recorded_below = sent_below
        self._first: int | None = None
        self.has_sent = False
        """Whether the first row that was read is sent and marked: an earlier term may have failed at that row."""

    def began_with(self, position: int) -> None:
        """Record the position of the first row read in this term; later calls change nothing."""
        if self._first is None:
            self._first = position

    def note(self, row: OutboxRow, partition: int, offset: int) -> None:
        """Record that the brokers have the row."""
        self.delivered.append(Delivery(row, partition, offset))

    @property
    def unmarked(self) -> int:
        return len(self.delivered) + len(self._being_marked)

    @property
    def positions(self) -> set[int]:
        """Return the positions of rows that were delivered and are not certainly marked."""
        return {each.row.position for part in (self.delivered, self._being_marked) for each in part}

    def is_due(self, now: float, *, immediately: bool, may_mark: bool) -> bool:
        """Return whether to start a statement now.

        It is due for the lease, or for delivered rows: many of them, rows that waited long enough, or any with
        `immediately`. Rows are only marked with `may_mark`.
        """
        if self._row.is_recording:
            return False
        waited = immediately or len(self.delivered) >= _ROWS or now - self._marked_at >= _SECONDS
        return self._lease.is_due(now) or (may_mark and waited and bool(self.delivered))

    def start(self, lowest_unsent: int) -> None:
        """Start to mark the delivered rows. Every row below `lowest_unsent` was delivered, or is not read yet."""
        self._being_marked, self.delivered = self.delivered, []
        self._start(min(self._gap_tracker.read_below, lowest_unsent - 1))

    def prolong(self) -> None:
        """Extend the lease without marking rows."""
        self._start(self.recorded_below)

    def look(self) -> None:
        """Finish the running statement if its result has arrived; never wait."""
        if self._row.is_recording and self._row.has_recorded():
            self.finish()

    def finish(self) -> None:
        """Wait for the running statement, if there is one."""
        if not self._row.is_recording:
            return
        transaction_id = self._row.recorded()
        if transaction_id is None:
            self._lease.lost()
            return
        self._lease.kept(self._asked_at)
        self._gap_tracker.bound(transaction_id, readings=self._asked_readings)
        self.recorded_below = self._asked_below
        RELAY_EVENTS.inc(len(self._being_marked))
        self.has_sent = self.has_sent or any(each.row.position == self._first for each in self._being_marked)
        self._being_marked = []

    def _start(self, below: int) -> None:
        self._asked_at = self._marked_at = self._clock()
        self._asked_below, self._asked_readings = below, self._gap_tracker.readings
        self._row.start_recording(self._epoch, self._being_marked, below)
