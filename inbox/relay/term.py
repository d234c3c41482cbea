"""A term of the active relay: it reads rows, sends them, and marks those that were delivered.

The three run concurrently: while this process sends, the server looks for the next rows on one connection, and
marks delivered rows on another. A row is marked only after its delivery report, or after the end of its Kafka
transaction. The bytes in flight are bounded.
"""

import time
from collections.abc import Callable, Collection
from operator import attrgetter
from typing import Protocol

from inbox.errors import TryAgainError
from inbox.relay.gap_tracker import GapTracker
from inbox.relay.in_flight import IN_FLIGHT_BYTES, InFlightRows
from inbox.relay.lease import Lease
from inbox.relay.outbox_reader import MOST_ROWS, OutboxReader, OutboxRows
from inbox.relay.producer import Delivered, Producer
from inbox.relay.sent_marker import RecordingLease, SentMarker
from inbox.store.outbox.relay_queries import OutboxRow, TakenLease
from inbox.telemetry import OUTBOX_PENDING

_REPORT_SECONDS = 0.005
_LOOK_SECONDS = 0.001
"""The longest wait for delivery reports, and the wait while there may be rows to send as well."""

_IDLE_SECONDS = 0.005
_QUIET_SECONDS = 0.2
_SLEEP_SECONDS = 0.5
_SWEEP_SECONDS = 1.0
_PENDING_SECONDS = 1.0
_END_SECONDS = 5.0

_position = attrgetter("position")


class WakeUpSignal(Protocol):
    """A signal when an application publishes while this relay sleeps."""

    def fall_asleep(self) -> bool: ...
    def wait(self, seconds: float) -> None: ...
    def wake_up(self) -> None: ...


class ReleasableLease(RecordingLease, Protocol):
    """A lease that can be given back."""

    def release(self, epoch: int) -> None: ...


class OutboxTerm:
    """The state of one term, forgotten when it ends.

    All of it runs on one thread, and any method may raise TryAgainError.
    """

    def __init__(
        self,
        table: OutboxRows,
        lease_row: ReleasableLease,
        notifier: WakeUpSignal,
        lease: Lease,
        held: TakenLease,
        make_producer: Callable[[Delivered], Producer],
        clock: Callable[[], float],
    ) -> None:
        self._lease_row = lease_row
        self._notifier = notifier
        self._lease = lease
        self._epoch = held.epoch
        self._clock = clock
        self._gap_tracker = GapTracker(held.sent_below)
        self._reader = OutboxReader(table, self._gap_tracker, most_bytes=IN_FLIGHT_BYTES)
        self._sent_marker = SentMarker(lease_row, lease, held.epoch, self._gap_tracker, held.sent_below, clock)
        self._in_flight: InFlightRows[OutboxRow] = InFlightRows(make_producer, self._sent_marker.note)
        self._swept_at = self._busy_at = clock()
        self._counted_at = self._swept_at - _PENDING_SECONDS  # so that even a very short term counts the waiting rows
        self._asleep = False

    @property
    def has_sent(self) -> bool:
        return self._sent_marker.has_sent

    def turn(self) -> bool:
        """Do the work that is due; return False if nothing is in flight and nothing was found."""
        now = self._clock()
        self._sent_marker.look()
        if self._lease.may_send(now):
            self._read_on(now)
            self._in_flight.send()
        self._in_flight.poll(self._patience())
        immediately, may_mark = self._in_flight.in_transactions, not self._in_flight.is_open
        if self._sent_marker.is_due(now, immediately=immediately, may_mark=may_mark):
            self._record()
        if busy := self._is_busy():
            self._busy_at = now
            self._wake_up()
        return busy

    def rest(self) -> None:
        """Wait briefly for a row, and sweep meanwhile."""
        now = self._clock()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._note_missed(self._reader.sweep(self._sent_marker.recorded_below))
            self._swept_at = now
        elif self._asleep:
            self._sent_marker.finish()
            self._notifier.wait(_SLEEP_SECONDS)
        elif now - self._busy_at >= _QUIET_SECONDS and self._falls_asleep():
            # The next turn reads once more, because only those who publish from now on notify.
            self._asleep = True
        else:
            time.sleep(_IDLE_SECONDS)

    def sweep_all(self) -> bool:
        """Sweep all rows below the front; return whether none of them is left to send."""
        missed = self._reader.sweep_all(self._sent_marker.recorded_below)
        self._note_missed(missed)
        return missed is None

    def end(self, *, in_order: bool) -> None:
        """Mark what was delivered and drop what is in flight; `in_order`: first wait a short time for the reports."""
        try:
            deadline = self._clock() + (_END_SECONDS if in_order else 0.0)
            while self._in_flight.in_flight and self._clock() < deadline:
                self._in_flight.poll(_REPORT_SECONDS)
            self._sent_marker.finish()
            if self._lease.epoch is not None:
                self._record()
                self._sent_marker.finish()
            if in_order:
                self._lease_row.release(self._epoch)
                self._lease.lost()
            self._reader.give_up()
        except TryAgainError:
            # Rows that were not marked are sent again.
            pass
        finally:
            self._in_flight.discard()

    def _read_on(self, now: float) -> None:
        """Take in the rows that were read, and start to read more.

        While rows are few, wait for the reading, so that they do not wait for the delivery reports of others.
        """
        reader, in_flight = self._reader, self._in_flight
        if not reader.is_reading:
            self._start_reading()
        if not reader.is_reading or in_flight.waiting or in_flight.is_open:
            return
        if reader.has_read() or not (reader.is_behind and in_flight.in_flight):
            rows = reader.take_in()
            if rows:
                self._sent_marker.began_with(rows[0].position)
            in_flight.add(rows)
            self._count_pending(now)
            if reader.is_behind:
                self._start_reading()

    def _start_reading(self) -> None:
        room = IN_FLIGHT_BYTES - self._in_flight.bytes
        if room > 0 and len(self._in_flight) < 2 * MOST_ROWS:
            self._reader.start(room, self._on_its_way() if self._gap_tracker.gaps else ())

    def _on_its_way(self) -> Collection[int]:
        return self._sent_marker.positions.union(map(_position, self._in_flight.rows))

    def _patience(self) -> float:
        """Return how long to wait for delivery reports, in seconds."""
        in_flight, reader = self._in_flight, self._reader
        if not in_flight.in_flight:
            # No row was found, or none may be sent.
            return _LOOK_SECONDS
        if in_flight.waiting or in_flight.is_open:
            return _REPORT_SECONDS
        return 0.0 if reader.is_reading and reader.has_read() else _LOOK_SECONDS

    def _record(self) -> None:
        """Mark what was delivered, or only extend the lease while a Kafka transaction is open."""
        in_flight = self._in_flight
        if in_flight.is_open:
            self._sent_marker.prolong()
            return
        beyond = self._gap_tracker.front + 1
        # The waiting rows are in order of position.
        waits = in_flight.waiting[0].position if in_flight.waiting else beyond
        self._sent_marker.start(min(waits, min(map(_position, in_flight.in_flight.values()), default=beyond)))

    def _is_busy(self) -> bool:
        return not self._reader.at_end or self._reader.is_reading or bool(self._in_flight or self._sent_marker.unmarked)

    def _note_missed(self, missed: int | None) -> None:
        if missed is not None:
            self._sent_marker.recorded_below = missed - 1

    def _falls_asleep(self) -> bool:
        self._sent_marker.finish()
        return self._notifier.fall_asleep()

    def _wake_up(self) -> None:
        if self._asleep:
            self._sent_marker.finish()
            self._notifier.wake_up()
            self._asleep = False

    def _count_pending(self, now: float) -> None:
        if now - self._counted_at >= _PENDING_SECONDS:
            self._counted_at = now
            OUTBOX_PENDING.set(len(self._in_flight) + self._sent_marker.unmarked + self._reader.rows_ahead())
