"""Events for the crash tests: written in transactions, some aborted, with the producer's duplicates and poison."""

import json
import random
import zlib
from dataclasses import dataclass
from uuid import UUID

from confluent_kafka import Producer

from tests.kafka_topics import transactional_producer

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

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, rng: random.Random) -> None:
        self._producer: Producer = transactional_producer(bootstrap_servers, f"{topic}-producer")
        self._topic = topic
        self._partitions = partitions
        self._rng = rng
        self._seq = 0
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
            self._producer.flush(30)  # so that aborted records are really in the log
            self._producer.abort_transaction(30)
            return
        self._producer.commit_transaction(30)
        assert len(stored) == len(events)
        self.committed |= stored

    def _partition(self, key: str | None) -> int:
        return self._rng.randrange(self._partitions) if key is None else zlib.crc32(key.encode()) % self._partitions

    def _events(self) -> list[Sent]:
        events: list[Sent] = []
        for _ in range(self._rng.randint(15, 40)):
            kind = self._rng.random()
            if kind < 0.75:
                events.append(self._good(self._rng.choice(KEYS)))
            elif kind < 0.80:
                events.append(self._good(None))
            elif kind < 0.85:
                events.append(self._good(self._rng.choice(KEYS), type="Noise"))
            elif kind < 0.97 and (earlier := self._earlier(events)):
                events.append(self._rng.choice(earlier))
            elif kind > 0.97:
                events += self._poisoned_key()
        return events

    def _earlier(self, events: list[Sent]) -> list[Sent]:
        """What a producer may send again: good events of this transaction and of those before."""
        before = list(self.committed.values())[-200:]
        return [event for event in (*before, *events) if event.kind == "good"]

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
