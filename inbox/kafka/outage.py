"""The parts of Kafka that are away, as librdkafka's errors and statistics show them.

Errors alone say when an outage begins and never when it ends: a partition without new records is silent
before and after. The statistics name the state of every broker, of the group and of every partition's leader, once a
second (librdkafka, STATISTICS.md).

Every component has a way back that needs no record of this very member:

| component | away | back |
|---|---|---|
| brokers | all of them are down, or none is up for 3 s | one is up, and the coordinator too |
| coordinator | not up for 10 s | up |
| group | it refuses the member, or is not put together for 60 s | the group is steady, or assigns |
| answers | the brokers did not answer the writer | the writer's next success |
| topic | librdkafka reports its error | assigned, read, or described without an error when asked again |
| partition | it cannot be read | a record, its end, or no longer this member's |
| leader | a partition has none for 10 s | it has one, or is no longer this member's |
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

import orjson
from confluent_kafka import KafkaError

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.errors import KafkaConsequence, meaning_of, translate
from inbox.telemetry import Outage


class ComponentKind(Enum):
    """A kind of component that may be away."""

    BROKERS = "the brokers"
    COORDINATOR = "the group's coordinator"
    GROUP = "the group"
    ANSWERS = "answers to questions apart from records"
    TOPIC = "a topic"
    PARTITION = "a partition"
    LEADER = "a partition's leader"


class Component(NamedTuple):
    """A component that may be away; `topic` and `partition` where its kind has them."""

    kind: ComponentKind
    topic: str = ""
    partition: int = -1


_BROKERS, _COORDINATOR, _GROUP, _ANSWERS = map(
    Component, (ComponentKind.BROKERS, ComponentKind.COORDINATOR, ComponentKind.GROUP, ComponentKind.ANSWERS)
)
_OF_ALL_BROKERS = ("brokers", "login")
_TICKS_WITHOUT_BROKER = 3
_TICKS_WITHOUT_COORDINATOR = 10
_TICKS_WITHOUT_LEADER = 10
_TICKS_WITHOUT_GROUP = 60
"""Ticks; more than a killed member can hold up the others, since its session lasts 45 s."""


class KafkaOutage:
    """A single outage, however many components are away: it ends when the last of them is back."""

    def __init__(self) -> None:
        self._outage = Outage()
        self._away: set[Component] = set()
        self._mine: set[TopicPartition] = set()
        self._cause: KafkaError | None = None
        self._ticks: dict[Component, int] = {}
        self._closed = False
        self.steady = False
        """Whether this member was in a stable group at the last report."""

    @property
    def brokers_away(self) -> bool:
        """Return whether nothing can be sent to the brokers."""
        return _BROKERS in self._away

    @property
    def partitions(self) -> list[TopicPartition]:
        """Return the partitions that could not be read at the last report."""
        return [TopicPartition(component.topic, component.partition) for component in self._of(ComponentKind.PARTITION)]

    @property
    def topics(self) -> list[str]:
        """Return the topics that the brokers refused to this member at the last report."""
        return sorted(component.topic for component in self._of(ComponentKind.TOPIC))

    def happened(self, error: KafkaError) -> None:
        """Note librdkafka's report that a broker is away; it is an outage once all brokers are."""
        if meaning_of(error.code()).reason not in _OF_ALL_BROKERS:
            return
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._cause = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN or self.brokers_away:
            self._no_broker()

    def refused(self, error: KafkaError, where: TopicPartition | None, failure: TryAgainError) -> None:
        """Record that a record could not be fetched, because of a partition, a topic or the group."""
        if where is None:
            self._lose(_GROUP, failure)
        elif where.partition < 0:
            self._lose(Component(ComponentKind.TOPIC, where.topic), failure)
        elif meaning_of(error.code()).consequence is KafkaConsequence.ALERT:
            self.unreadable(where, failure)

    def unreadable(self, where: TopicPartition, failure: TryAgainError) -> None:
        """Record that nothing can be read from a partition; a late report of another member's partition is ignored."""
        if where in self._mine:
            self._lose(Component(ComponentKind.PARTITION, *where), failure)

    def delivered(self, where: TopicPartition) -> None:
        """Record that a record or the end of a partition arrived."""
        self._back(Component(ComponentKind.PARTITION, *where), Component(ComponentKind.TOPIC, where.topic))

    def described(self, topic: str) -> None:
        """Record that the brokers described a topic to this member without an error."""
        self._back(Component(ComponentKind.TOPIC, topic))

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Record that the group gave this member partitions, or none if it is a spare member."""
        partitions = list(partitions)
        self._mine.update(partitions)
        self._ticks.pop(_GROUP, None)
        self._back(_GROUP, *(Component(ComponentKind.TOPIC, partition.topic) for partition in partitions))

    def unassigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Record that partitions no longer belong to this member."""
        self.steady = False
        gone = list(partitions)
        self._mine.difference_update(gone)
        for partition in gone:
            self._ticks.pop(Component(ComponentKind.LEADER, *partition), None)
        self._back(
            *(
                Component(kind, *partition)
                for partition in gone
                for kind in (ComponentKind.PARTITION, ComponentKind.LEADER)
            )
        )

    def statistics(self, text: str) -> None:
        """Read the state of brokers, group and leaders, once a second."""
        report: dict[str, Any] = orjson.loads(text)
        group = report.get("cgrp", {})
        brokers = any(each["state"] == "UP" for each in report["brokers"].values() if each["source"] != "internal")
        coordinator = brokers and group.get("state") == "up"
        self.steady = coordinator and group.get("join_state") == "steady"
        self._see_brokers(brokers=brokers, coordinator=coordinator)
        if coordinator:
            # Brokers that answer while the cluster still starts are not back yet.
            self._back(_BROKERS, _COORDINATOR)
        self._see_group(coordinator=coordinator)
        self._see_leaders(report.get("topics", {}), brokers=brokers)

    def unanswered(self, failure: TryAgainError) -> None:
        """Record that the brokers did not answer a question apart from records."""
        self._lose(_ANSWERS, failure)

    def answered(self) -> None:
        """Record that every such question was answered, or need not be asked any more."""
        self._back(_ANSWERS)

    def close(self) -> None:
        """End the outage; what librdkafka still reports while it closes is ignored."""
        self._closed = True
        self._away.clear()
        self._outage.given_up()

    def _see_brokers(self, *, brokers: bool, coordinator: bool) -> None:
        without_broker = self._count(_BROKERS, there=brokers)
        without_coordinator = self._count(_COORDINATOR, there=coordinator or not brokers)
        if without_broker >= _TICKS_WITHOUT_BROKER:
            self._no_broker()
        elif without_coordinator >= _TICKS_WITHOUT_COORDINATOR:
            self._lose(_COORDINATOR, _waits("the group's coordinator does not answer", "coordinator"))

    def _see_group(self, *, coordinator: bool) -> None:
        if self._count(_GROUP, there=self.steady or not coordinator) >= _TICKS_WITHOUT_GROUP:
            self._lose(
                _GROUP,
                _waits(
                    f"the group did not complete a rebalance for {_TICKS_WITHOUT_GROUP} s; look at its members", "group"
                ),
            )
        if self.steady:
            self._back(_GROUP)

    def _see_leaders(self, topics: Mapping[str, Any], *, brokers: bool) -> None:
        for partition in self._mine:
            seen = topics.get(partition.topic, {}).get("partitions", {}).get(str(partition.partition), {})
            component = Component(ComponentKind.LEADER, *partition)
            led = seen.get("leader", 0) >= 0
            if self._count(component, there=led or not brokers) >= _TICKS_WITHOUT_LEADER:
                self._lose(component, _waits(f"{partition} has no leader; check that its brokers run", "leader"))
            elif led:
                self._back(component)

    def _count(self, what: Component, *, there: bool) -> int:
        """Return for how many ticks in a row something was missing."""
        self._ticks[what] = 0 if there else self._ticks.get(what, 0) + 1
        return self._ticks[what]

    def _no_broker(self) -> None:
        cause = self._cause or KafkaError(KafkaError._ALL_BROKERS_DOWN)
        failure = translate(cause, "talking to the brokers")
        if isinstance(failure, TryAgainError):
            self._lose(_BROKERS, failure)

    def _of(self, kind: ComponentKind) -> list[Component]:
        return [component for component in self._away if component.kind is kind]

    def _lose(self, component: Component, failure: TryAgainError) -> None:
        if not self._closed:
            self._away.add(component)
            self._outage.seen(failure)

    def _back(self, *components: Component) -> None:
        if self._away.isdisjoint(components):
            return
        self._away.difference_update(components)
        if not self._away:
            self._cause = None
            self._outage.over()


def _waits(text: str, reason: str) -> TryAgainError:
    return TryAgainError(text, away="kafka", reason=reason)
