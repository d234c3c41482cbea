"""What of Kafka is away, from what librdkafka tells: its errors, and once a second its statistics.

Errors alone say when an outage begins and never when it ends: a partition without new records is silent
before and after. The statistics name the state of every broker and of the group (librdkafka,
STATISTICS.md).
"""

from collections.abc import Iterable
from typing import Any

import orjson
from confluent_kafka import KafkaError

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.failures import Fate, meaning_of, translated
from inbox.telemetry import Outage

Place = str | TopicPartition

_BROKERS, _COORDINATOR, _GROUP, _ANSWERS = "the brokers", "the coordinator", "the group", "answers"
_OF_ALL_BROKERS = ("brokers", "login")
_TICKS_WITHOUT_BROKER = 3
_TICKS_WITHOUT_COORDINATOR = 10


class KafkaOutage:
    """One outage, however many places of it are away: it ends when the last of them is back."""

    def __init__(self) -> None:
        self._outage = Outage()
        self._away: set[Place] = set()
        self._cause: KafkaError | None = None
        self._ticks = {_BROKERS: 0, _COORDINATOR: 0}
        self._closed = False

    @property
    def brokers_away(self) -> bool:
        """Whether nothing can be sent to the brokers."""
        return _BROKERS in self._away

    @property
    def partitions(self) -> list[TopicPartition]:
        """Those from which nothing could be read, by the last that was heard."""
        return [place for place in self._away if isinstance(place, TopicPartition)]

    def happened(self, error: KafkaError) -> None:
        """librdkafka's own news: a broker is away, which is an outage once it is true of all."""
        if meaning_of(error.code()).reason not in _OF_ALL_BROKERS:
            return
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._cause = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN or self.brokers_away:
            self._no_broker()

    def refused(self, error: KafkaError, where: TopicPartition | None, failure: TryAgainError) -> None:
        """A record could not be had: of one partition, of a topic, or because of the group."""
        if where is None:
            self._lose(_GROUP, failure)
        elif where.partition < 0:
            self._lose(where.topic, failure)
        elif meaning_of(error.code()).fate is Fate.ALERT:
            self._lose(where, failure)

    def delivered(self, where: TopicPartition) -> None:
        """A record or the end of a partition arrived."""
        self._back(where, where.topic)

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        self._back(_GROUP, *(partition.topic for partition in partitions))

    def unassigned(self, partitions: Iterable[TopicPartition]) -> None:
        """They are not this member's concern any more."""
        self._back(*partitions)

    def statistics(self, text: str) -> None:
        """The state of brokers and group, once a second."""
        told: dict[str, Any] = orjson.loads(text)
        group = told.get("cgrp", {})
        brokers = any(each["state"] == "UP" for each in told["brokers"].values() if each["source"] != "internal")
        coordinator = brokers and group.get("state") == "up"
        self._count(_BROKERS, there=brokers)
        self._count(_COORDINATOR, there=coordinator or not brokers)
        if self._ticks[_BROKERS] >= _TICKS_WITHOUT_BROKER:
            self._no_broker()
        elif self._ticks[_COORDINATOR] >= _TICKS_WITHOUT_COORDINATOR:
            gone = "the group's coordinator does not answer"
            self._lose(_COORDINATOR, TryAgainError(gone, away="kafka", reason="coordinator"))
        if coordinator:
            # Brokers that answer while the cluster still starts are not yet back.
            self._back(_BROKERS, _COORDINATOR)
        if coordinator and group.get("join_state") == "steady":
            self._back(_GROUP)

    def unanswered(self, failure: TryAgainError) -> None:
        """The brokers were asked something apart from records, and did not say."""
        self._lose(_ANSWERS, failure)

    def answered(self) -> None:
        self._back(_ANSWERS)

    def close(self) -> None:
        """Nobody waits any more; what librdkafka still tells on its way out is no outage."""
        self._closed = True
        self._away.clear()
        self._outage.given_up()

    def _count(self, what: str, *, there: bool) -> None:
        self._ticks[what] = 0 if there else self._ticks[what] + 1

    def _no_broker(self) -> None:
        cause = self._cause or KafkaError(KafkaError._ALL_BROKERS_DOWN)
        failure = translated(cause, "talking to the brokers")
        if isinstance(failure, TryAgainError):
            self._lose(_BROKERS, failure)

    def _lose(self, place: Place, failure: TryAgainError) -> None:
        if not self._closed:
            self._away.add(place)
            self._outage.seen(failure)

    def _back(self, *places: Place) -> None:
        if self._away.isdisjoint(places):
            return
        self._away.difference_update(places)
        if not self._away:
            self._cause = None
            self._outage.over()
