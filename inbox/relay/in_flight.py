"""Rows on their way to the brokers: none passes another, and each is known until its delivery report came.

Where Kafka's transactions are asked for, what is added makes one transaction, and is delivered once that has ended.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

IN_FLIGHT_BYTES = 16 << 20
"""What may be on its way at once, by the length of payloads; one row may be larger."""

Headers = list[tuple[str, str | bytes | None]]
Delivered = Callable[[int, int, int], None]
"""Called with a message's token, its partition and its offset."""


class Row(Protocol):
    """What is sent of an event; `size` of its value, in bytes."""

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


class Producer(Protocol):
    """Sends to Kafka; `token` comes back when the message is delivered. One that may not share goes alone.

    Between `begin` and `commit` is a batch that is there as a whole, where `in_transactions`.
    """

    @property
    def in_transactions(self) -> bool: ...

    def may_share(self, topic: str, key: str) -> bool: ...
    def send(self, token: int, topic: str, key: str, value: bytes | None, headers: Headers) -> None: ...
    def poll(self, seconds: float) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


class Outgoing(Generic[R]):
    """What waits to be sent and what was sent, up to the delivery report, which `note` is told of.

    `is_open`: a transaction of Kafka's is, so what was delivered is not there yet. All of it may raise TryAgainError.
    """

    def __init__(self, make_producer: Callable[[Delivered], Producer], note: Callable[[R, int, int], None]) -> None:
        self.waiting: deque[R] = deque()
        self.in_flight: dict[int, R] = {}
        self.is_open = False
        self.bytes = 0
        self._note = note
        self._next_token = 0
        self._alone = False
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
        """What waits, as far as it has way."""
        if self.waiting and self.in_transactions and not self.is_open:
            self._producer.begin()
            self.is_open = True
        waiting, in_flight, send = self.waiting, self.in_flight, self._producer.send
        while waiting and self._has_way(waiting[0]):
            row = waiting.popleft()
            headers: Headers = [("event_id", row.event_id), ("type", row.type)]
            if row.traceparent is not None:
                headers.append(("traceparent", row.traceparent))
            token = self._next_token = self._next_token + 1
            in_flight[token] = row
            send(token, row.topic, row.key, row.value, headers)

    def poll(self, seconds: float) -> None:
        """Take delivery reports, waiting at most so long for the first; a transaction whose last one came is ended."""
        self._producer.poll(seconds)
        self._end_transaction()

    def discard(self) -> None:
        """Forget what is on its way; what the brokers have by now they keep."""
        self._producer.discard()

    def _end_transaction(self) -> None:
        if self.is_open and not len(self):
            self._producer.commit()
            self.is_open = False

    def _has_way(self, row: R) -> bool:
        if self._alone and self.in_flight:
            return False
        self._alone = not self._producer.may_share(row.topic, row.key)
        return not (self._alone and self.in_flight)

    def _delivered(self, token: int, partition: int, offset: int) -> None:
        row = self.in_flight.pop(token)
        self.bytes -= row.size
        self._note(row, partition, offset)
