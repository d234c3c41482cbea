"""Events for the crash tests: written in transactions, some aborted, with the producer's duplicates and poison."""

import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from confluent_kafka import Producer

from tests.support.kafka_topics import transactional_producer

APPLIED, DUPLICATE, FILTERED, PARKED, WAITING = "applied", "duplicate", "filtered", "parked", "waiting"

PARKS_ON = {
    "good": (),
    "poison": ("handler",),
    "broken": ("handler",),
    "bad amount": ("table",),
    "no json": ("handler", "table"),
    "no id": ("handler", "table"),
}
"""On which route an event of each kind can never succeed."""

KEYS = [f"key-{number}" for number in range(12)]
KEPT_TO_REPEAT = 200


@dataclass(frozen=True)
class Sent:
    """One event as its producer knows it."""

    event_id: UUID | None
    key: str | None
    seq: int
    kind: str = "good"
    type: str = "Changed"

    def value(self) -> bytes:
        if self.kind == "no json":
            return b"{" + str(self.seq).encode()
        amount = "much" if self.kind == "bad amount" else f"{self.seq}.50"
        return json.dumps({"kind": self.kind, "seq": self.seq, "amount": amount}).encode()

    def headers(self) -> list[tuple[str, bytes]]:
        identity = [("event_id", str(self.event_id).encode())] if self.event_id else []
        return [*identity, ("type", self.type.encode())]


class History:
    """Produces events, a chunk at a time, and remembers those that were committed."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        partitions: int,
        rng: random.Random,
        *,
        keys: Sequence[str] = KEYS,
        events_each: tuple[int, int] = (15, 40),
        poison: float = 0.03,
    ) -> None:
        """`events_each` is from how many to how many a transaction has; `poison` is the share of poisoned keys."""
        self._producer: Producer = transactional_producer(bootstrap_servers, f"{topic}-producer")
        self._topic = topic
        self._partitions = partitions
        self._rng = rng
        self._keys = keys
        self._events_each = events_each
        self._poison = poison
        self._seq = 0
        self._earlier: list[Sent] = []
        self.committed: dict[tuple[int, int], Sent] = {}

    def add_chunk(self) -> None:
        """Some transactions more, about a hundred events; what was aborted is mostly sent again."""
        for _ in range(3):
            events = self._events()
            if self._rng.random() < 0.3:
                self._send(events, commit=False)
                if self._rng.random() < 0.3:
                    continue
            self._send(events, commit=True)

    def _send(self, events: list[Sent], *, commit: bool) -> None:
        stored: dict[tuple[int, int], Sent] = {}
        self._producer.begin_transaction()
        for event in events:

            def delivered(error: object, message: object, event: Sent = event) -> None:
                assert error is None, error
                stored[message.partition(), message.offset()] = event  # type: ignore[attr-defined]

            self._producer.produce(
                self._topic,
                event.value(),
                key=event.key,
                partition=self._partition(event.key),
                headers=event.headers(),
                on_delivery=delivered,
            )
        if not commit:
            self._producer.flush(120)  # so that aborted records are really in the log
            self._producer.abort_transaction(30)
            return
        self._producer.commit_transaction(30)
        assert len(stored) == len(events)
        self._commit(stored)

    def _commit(self, stored: dict[tuple[int, int], Sent]) -> None:
        self.committed |= stored
        for event in stored.values():
            if event.kind == "good":
                if len(self._earlier) < KEPT_TO_REPEAT:
                    self._earlier.append(event)
                elif self._rng.random() < 0.25:
                    self._earlier[self._rng.randrange(KEPT_TO_REPEAT)] = event

    def _partition(self, key: str | None) -> int:
        return self._rng.randrange(self._partitions) if key is None else zlib.crc32(key.encode()) % self._partitions

    def _events(self) -> list[Sent]:
        events: list[Sent] = []
        for _ in range(self._rng.randint(*self._events_each)):
            kind = self._rng.random()
            if kind < 0.75:
                events.append(self._good(self._rng.choice(self._keys)))
            elif kind < 0.80:
                events.append(self._good(None))
            elif kind < 0.85:
                events.append(self._good(self._rng.choice(self._keys), type="Noise"))
            elif kind < 1 - self._poison:
                events += self._again(events)
            else:
                events += self._poisoned_key()
        return events

    def _again(self, events: list[Sent]) -> list[Sent]:
        """What a producer may send once more: a good event of this transaction, or of one before, near or far."""
        choice = [*self._earlier, *(event for event in events[-20:] if event.kind == "good")]
        return [self._rng.choice(choice)] if choice else []

    def _poisoned_key(self) -> list[Sent]:
        """A key of its own with good events before and after one that can never succeed."""
        kind = self._rng.choice([kind for kind in PARKS_ON if kind != "good"])
        key = f"bad-{self._seq}" if self._rng.random() < 0.8 else None
        first, poison = self._good(key), self._next(key, kind=kind)
        followers = [self._good(key) for _ in range(self._rng.randint(0, 2))]
        return [first, poison, *followers, *self._rng.sample([first, poison], self._rng.randint(0, 2))]

    def _good(self, key: str | None, type: str = "Changed") -> Sent:  # noqa: A002 - the field's own word
        return self._next(key, type=type)

    def _next(self, key: str | None, kind: str = "good", type: str = "Changed") -> Sent:  # noqa: A002
        self._seq += 1
        event_id = None if kind == "no id" else UUID(int=self._rng.getrandbits(128))
        return Sent(event_id, key, self._seq, kind, type)
