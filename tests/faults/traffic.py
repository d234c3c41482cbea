"""A producer that continues sending while its broker is killed, and knows what of it was committed."""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException

from tests.e2e.history import History, Sent
from tests.support.kafka_topics import transactional_producer

_TRIES = 12
_TRY_SECONDS = 10.0


class Traffic(History):
    """Events in transactions. `doubtful` are those of transactions whose end nobody told: the log has the answer.

    `ends` has for each partition the offset behind its last event that was committed.
    """

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, rng: random.Random) -> None:
        super().__init__(
            bootstrap_servers,
            topic,
            partitions,
            rng,
            keys=[f"key-{number}" for number in range(200)],
            events_each=(30, 120),
            poison=0.004,
        )
        self._bootstrap_servers = bootstrap_servers
        self.doubtful: dict[tuple[int, int], Sent] = {}
        self.transactions = 0
        self.aborted = 0
        self.ends: dict[int, int] = {}

    def known(self, log: Mapping[tuple[int, int], bytes]) -> dict[tuple[int, int], Sent]:
        """What was committed, by place, once the log has settled what was in doubt."""
        return self.committed | {place: event for place, event in self.doubtful.items() if place in log}

    def _send(self, events: list[Sent], *, commit: bool) -> None:
        stored: dict[tuple[int, int], Sent] = {}
        self.transactions += 1
        try:
            self._again_and_again(lambda: self._producer.begin_transaction())
            for event in events:
                self._produce(event, stored)
            if not commit:
                self._producer.flush(_TRY_SECONDS)  # so that aborted records are really in the log
                self._abort()
                return
            self._again_and_again(lambda: self._producer.commit_transaction(_TRY_SECONDS))
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                self._abort()
            else:
                self._start_anew(stored)
            return
        assert len(stored) == len(events)
        self._commit(stored)
        for partition, offset in stored:
            self.ends[partition] = max(offset + 1, self.ends.get(partition, 0))

    def _produce(self, event: Sent, stored: dict[tuple[int, int], Sent]) -> None:
        def delivered(error: object, message: Any) -> None:
            if error is None:
                stored[message.partition(), message.offset()] = event

        self._producer.produce(
            self._topic,
            event.value(),
            key=event.key,
            partition=self._partition(event.key),
            headers=event.headers(),
            on_delivery=delivered,
        )

    def _abort(self) -> None:
        self._again_and_again(lambda: self._producer.abort_transaction(_TRY_SECONDS))
        self.aborted += 1

    def _start_anew(self, stored: dict[tuple[int, int], Sent]) -> None:
        """Another producer of the same id: the coordinator ends the transaction at hand, one way or the other."""
        self.doubtful |= stored
        with suppress(KafkaException):
            self._producer.purge()
        self._again_and_again(self._replace)

    def _replace(self) -> None:
        self._producer = transactional_producer(self._bootstrap_servers, f"{self._topic}-producer", log_level=0)

    def _again_and_again(self, call: Callable[[], object]) -> None:
        """As librdkafka asks: an error that is retriable is answered by the same call."""
        for left in reversed(range(_TRIES)):
            try:
                call()
            except KafkaException as error:
                if not left or not error.args[0].retriable():
                    raise
            else:
                return
