"""Keep track of rows in flight to the brokers: none passes another, and each is known until its delivery report.

If Kafka transactions are configured, the added rows form one transaction, and are delivered once it has ended.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from inbox.errors import TryAgainError
from inbox.relay.producer import Delivered, Headers, Producer
from inbox.relay.record_copies import record_in
from inbox.trace_context import sent_traceparent

IN_FLIGHT_BYTES = 16 << 20
"""The most bytes of payload in flight together; one row may be larger."""


class Row(Protocol):
    """The parts of an event that are sent; `size` of its value, in bytes."""

    @property
    def event_id(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def size(self) -> int: ...


R = TypeVar("R", bound=Row)


class InFlightRows(Generic[R]):
    """The rows that wait to be sent and those sent without a delivery report yet; `note` is called for each report.

    `is_open`: a Kafka transaction is open, so its rows are not delivered yet. Any method may raise
    TryAgainError.
    """

    def __init__(self, make_producer: Callable[[Delivered], Producer], note: Callable[[R, int, int], None]) -> None:
        self.waiting: deque[R] = deque()
        self.in_flight: dict[int, R] = {}
        self.is_open = False
        self.bytes = 0
        self._note = note
        self._next_token = 0
        self._alone = False
        self._is_refused = False
        self._producer = make_producer(self._delivered)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.in_flight)

    @property
    def rows(self) -> Iterable[R]:
        yield from self.in_flight.values()
        yield from self.waiting

    @property
    def in_transactions(self) -> bool:
        return self._producer.in_transactions

    def add(self, rows: Iterable[R]) -> None:
        for row in rows:
            self.waiting.append(row)
            self.bytes += row.size

    def send(self) -> None:
        """Send the waiting rows until one has to wait for those in flight.

        A row that cannot be sent raises its error once those before it are delivered. In a Kafka transaction it
        raises immediately: the transaction is aborted, and nobody sees half of it.
        """
        if self._is_refused and self.in_flight:
            return
        self._is_refused = False
        if self.waiting and self.in_transactions and not self.is_open:
            self._producer.begin()
            self.is_open = True
        try:
            self._send_waiting()
        except TryAgainError:
            if self.in_transactions or not self.in_flight:
                raise
            self._is_refused = True

    def _send_waiting(self) -> None:
        waiting, in_flight, send = self.waiting, self.in_flight, self._producer.send
        while waiting and self._may_send_now(waiting[0]):
            row = waiting[0]
            token = self._next_token = self._next_token + 1
            if (copied := record_in(row.type, row.value)) is not None:
                send(token, row.topic, *copied)
            else:
                send(token, row.topic, row.key, row.value, _headers(row))
            waiting.popleft()
            in_flight[token] = row

    def poll(self, seconds: float) -> None:
        """Handle delivery reports, waiting at most `seconds` for the first; end a transaction after its last report."""
        self._producer.poll(seconds)
        self._end_transaction()

    def discard(self) -> None:
        """Drop the rows in flight; the brokers keep what they have by now."""
        self._producer.discard()

    def _end_transaction(self) -> None:
        if self.is_open and not len(self):
            self._producer.commit()
            self.is_open = False

    def _may_send_now(self, row: R) -> bool:
        if self._alone and self.in_flight:
            return False
        self._alone = not self._producer.may_share(row.topic, row.key)
        return not (self._alone and self.in_flight)

    def _delivered(self, token: int, partition: int, offset: int) -> None:
        row = self.in_flight.pop(token)
        self.bytes -= row.size
        self._note(row, partition, offset)


def _headers(row: Row) -> Headers:
    headers: Headers = [("event_id", row.event_id), ("type", row.type)]
    if (traceparent := sent_traceparent(row.traceparent)) is not None:
        headers.append(("traceparent", traceparent))
    return headers
