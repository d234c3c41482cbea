"""Define the producer that the relay sends with, and what is put around one."""

from collections.abc import Callable
from typing import Protocol

Headers = list[tuple[str, str | bytes | None]]
Delivered = Callable[[int, int, int], None]
"""A callback with a message's token, its partition and its offset."""


class Producer(Protocol):
    """A sender to Kafka; `token` comes back when the message is delivered.

    A message that may not share is sent alone. If `in_transactions`, the messages between `begin` and `commit`
    are a batch that becomes visible as a whole.
    """

    @property
    def in_transactions(self) -> bool: ...

    def may_share(self, topic: str, key: str) -> bool: ...
    def send(self, token: int, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None: ...
    def poll(self, seconds: float) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


class ProducerAround:
    """A producer that changes something about another one. What a subclass leaves out is done as the other does it."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    @property
    def in_transactions(self) -> bool:
        return self._producer.in_transactions

    def may_share(self, topic: str, key: str) -> bool:
        """Return whether a message may be in flight together with others."""
        return self._producer.may_share(topic, key)

    def send(self, token: int, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None:
        """Queue a message."""
        self._producer.send(token, topic, key, value, headers)

    def poll(self, seconds: float) -> None:
        """Handle delivery reports."""
        self._producer.poll(seconds)

    def begin(self) -> None:
        """Begin a transaction, if the producer has transactions."""
        self._producer.begin()

    def commit(self) -> None:
        """Commit the transaction, if the producer has transactions."""
        self._producer.commit()

    def discard(self) -> None:
        """Drop what was not sent yet."""
        self._producer.discard()
