"""One term of the active relay: reads rows, has them sent, and records what was delivered.

Rows are read ahead of what was delivered, so the database, this process and the brokers work at the same time. What is
on its way is bounded by its bytes. One statement records what was delivered, prolongs the lease and is the fence.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from inbox.errors import TryAgainError
from inbox.relay.lease import Lease
from inbox.relay.lookback import LookBack
from inbox.store.outbox_relay import Bell, Held, LeaseRow, OutboxRow, OutboxTable, Sent
from inbox.telemetry import OUTBOX_PENDING, RELAY_EVENTS

IN_FLIGHT_BYTES = 16 << 20
"""What may be on its way at once, by the length of payloads; one row may be larger."""

_MOST_ROWS = 5_000
_LEAST_ROWS = 50
_RECORD_ROWS = 2_000
_RECORD_SECONDS = 0.05
_REPORT_SECONDS = 0.005
_IDLE_SECONDS = 0.01
_QUIET_SECONDS = 0.2
_SLEEP_SECONDS = 0.5
_SWEEP_ROWS = 20_000
_SWEEP_SECONDS = 1.0
_PENDING_SECONDS = 1.0
_END_SECONDS = 5.0


class Producer(Protocol):
    """Sends to Kafka; `token` comes back when the message is delivered. One that may not share goes alone.

    Between `begin` and `commit` is a batch that is there as a whole, where `in_transactions`.
    """

    @property
    def in_transactions(self) -> bool: ...

    def may_share(self, topic: str, key: str) -> bool: ...
    def send(
        self, token: int, topic: str, key: str, value: bytes | None, headers: list[tuple[str, str | bytes | None]]
    ) -> None: ...
    def poll(self, seconds: float) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


Delivered = Callable[[int, int, int], None]


class Term:
    """Everything that is forgotten when a term ends. All of it runs on one thread, and may raise TryAgainError."""

    def __init__(
        self,
        table: OutboxTable,
        lease_row: LeaseRow,
        bell: Bell,
        lease: Lease,
        held: Held,
        make_producer: Callable[[Delivered], Producer],
        clock: Callable[[], float],
    ) -> None:
        self._table = table
        self._lease_row = lease_row
        self._bell = bell
        self._lease = lease
        self._epoch = held.epoch
        self._clock = clock
        self._look_back = LookBack(held.sent_below)
        self._recorded_below = held.sent_below
        self._waiting: deque[OutboxRow] = deque()
        self._alone = self._open = False
        self._in_flight: dict[int, OutboxRow] = {}
        self._bytes_in_flight = 0
        self._sent = Sent()
        self._unrecorded: set[int] = set()
        self._rows_at_once = _LEAST_ROWS
        self._swept_to = 0
        self._swept_at = self._recorded_at = self._busy_at = self._counted_at = clock()
        self._asleep = self._at_end = False
        self.has_sent = False
        self._producer = make_producer(self._note_delivery)

    def turn(self) -> bool:
        """Do what there is to do now; False where nothing is on its way and nothing was found."""
        now = self._clock()
        if self._lease.is_due(now):
            self._record()
        found = self._lease.may_send(now) and self._send_more()
        self._producer.poll(0.0 if self._may_go_on(found) else _REPORT_SECONDS)
        self._end_transaction()
        if self._sent.ids and not self._open and self._is_time_to_record(now):
            self._record()
        busy = not self._at_end or bool(self._in_flight) or bool(self._sent.ids)
        if busy:
            self._busy_at = now
            self._wake_up()
        self._count_pending(now, found=found)
        return busy

    def rest(self) -> None:
        """Wait for a row, briefly; sweep meanwhile."""
        now = self._clock()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self._sweep()
            self._swept_at = now
        elif self._asleep:
            self._bell.wait(_SLEEP_SECONDS)
        elif now - self._busy_at >= _QUIET_SECONDS and self._bell.fall_asleep():
            # The next turn reads once more: from now on whoever publishes rings.
            self._asleep = True
        else:
            time.sleep(_IDLE_SECONDS)

    def sweep_all(self) -> bool:
        """Whether no row below the front is left to send, in a sweep over all of them."""
        self._swept_to = 0
        while self._sweep():
            if self._swept_to == 0:
                return True
        return False

    def end(self, *, in_order: bool) -> None:
        """Record what was delivered and forget what is on its way; in order that is waited for, if not for long."""
        try:
            deadline = self._clock() + (_END_SECONDS if in_order else 0.0)
            while self._in_flight and self._clock() < deadline:
                self._producer.poll(_REPORT_SECONDS)
            if in_order:
                self._end_transaction()
            if self._lease.epoch is not None:
                self._record()
            if in_order:
                self._lease_row.release(self._epoch)
                self._lease.lost()
        except TryAgainError:
            # What was not recorded is sent again.
            pass
        finally:
            self._producer.discard()

    def _send_more(self) -> bool:
        found = False
        room = IN_FLIGHT_BYTES - self._bytes_in_flight
        if not self._waiting and self._may_read(room):
            found = self._read(room)
        if self._waiting and self._producer.in_transactions and not self._open:
            self._producer.begin()
            self._open = True
        while self._waiting and self._has_way(self._waiting[0]):
            self._send(self._waiting.popleft())
        return found or bool(self._waiting)

    def _may_read(self, room: int) -> bool:
        if self._producer.in_transactions:
            return not (self._open or self._sent.ids)
        return room > 0 and len(self._in_flight) < 2 * _MOST_ROWS

    def _end_transaction(self) -> None:
        if self._open and not self._waiting and not self._in_flight:
            self._producer.commit()
            self._open = False

    def _read(self, room: int) -> bool:
        look_back = self._look_back
        reading = self._table.read(look_back.front, look_back.gaps, limit=self._rows_at_once, limit_bytes=room)
        look_back.saw([row.position for row in reading.rows], reading.xmin)
        known = self._in_flight.keys() | self._unrecorded if look_back.gaps else ()
        self._waiting.extend(row for row in reading.rows if not row.passed and row.position not in known)
        self._adapt(reading.rows)
        self._at_end = not reading.rows
        return not self._at_end

    def _has_way(self, row: OutboxRow) -> bool:
        if self._alone and self._in_flight:
            return False
        self._alone = not self._producer.may_share(row.topic, row.key)
        return not (self._alone and self._in_flight)

    def _send(self, row: OutboxRow) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("event_id", row.event_id), ("type", row.type)]
        if row.traceparent is not None:
            headers.append(("traceparent", row.traceparent))
        self._in_flight[row.position] = row
        self._bytes_in_flight += len(row.value)
        self._producer.send(row.position, row.topic, row.key, row.value, headers)

    def _adapt(self, rows: Sequence[OutboxRow]) -> None:
        """The server looks at as many rows as it is asked for, so ask for about as many as there is room for."""
        mean = sum(len(row.value) for row in rows) / len(rows) if rows else 0.0
        fit = int(IN_FLIGHT_BYTES / mean) if mean else _MOST_ROWS
        self._rows_at_once = max(_LEAST_ROWS, min(_MOST_ROWS, fit, 4 * self._rows_at_once))

    def _note_delivery(self, position: int, partition: int, offset: int) -> None:
        row = self._in_flight.pop(position)
        self._bytes_in_flight -= len(row.value)
        self._unrecorded.add(position)
        sent = self._sent
        sent.ids.append(row.identity)
        sent.topics.append(row.topic.encode())
        sent.partitions.append(partition)
        sent.offsets.append(offset)

    def _is_time_to_record(self, now: float) -> bool:
        due = len(self._sent.ids) >= _RECORD_ROWS or now - self._recorded_at >= _RECORD_SECONDS
        return due or self._producer.in_transactions

    def _record(self) -> None:
        """Record what was delivered, and prolong the lease; or find that it was lost.

        What is in a transaction of Kafka's that has not ended is not delivered yet.
        """
        asked_at = self._clock()
        sent = Sent() if self._open else self._sent
        below = self._recorded_below if self._open else min(self._look_back.read_below, self._lowest_unsent() - 1)
        transaction_id = self._lease_row.record(self._epoch, sent, below)
        if transaction_id is None:
            self._lease.lost()
            return
        self._lease.kept(asked_at)
        self._look_back.bounded(transaction_id)
        self._recorded_below, self._recorded_at = below, asked_at
        if not self._open:
            RELAY_EVENTS.inc(len(sent.ids))
            self.has_sent = self.has_sent or bool(sent.ids)
            self._sent = Sent()
            self._unrecorded.clear()

    def _may_go_on(self, found: bool) -> bool:
        """Whether there is more to do than to wait for delivery reports."""
        return not self._in_flight or (found and not self._waiting)

    def _lowest_unsent(self) -> int:
        beyond = self._look_back.front + 1
        return min(min(self._in_flight, default=beyond), min((row.position for row in self._waiting), default=beyond))

    def _sweep(self) -> bool:
        """One step over what was recorded as sent, or starts over at its end; False where a row was found."""
        last, missed = self._table.sweep(self._swept_to, self._recorded_below, limit=_SWEEP_ROWS)
        if missed is not None and last is not None:
            self._look_back.look_again(missed, last)
            self._recorded_below = missed - 1
        self._swept_to = last or 0
        return missed is None

    def _wake_up(self) -> None:
        if self._asleep:
            self._bell.wake_up()
            self._asleep = False

    def _count_pending(self, now: float, *, found: bool) -> None:
        if now - self._counted_at < _PENDING_SECONDS:
            return
        self._counted_at = now
        behind = self._table.last_position() - self._look_back.front if found else 0
        OUTBOX_PENDING.set(len(self._in_flight) + len(self._unrecorded) + max(0, behind))
