"""Ask the brokers for the end offsets of held partitions: nothing is fetched of them that would show the end."""

from collections.abc import Callable, Sequence

from inbox.events import TopicPartition
from inbox.kafka.consumer import GroupConsumer

_AGE_SECONDS = 5.0
_ASKING_SECONDS = 0.2
"""The time for which one call asks, so that the loop turns. The next call continues with the oldest answers."""


class HeldEndOffsets:
    """The end offsets of held partitions, each as of a few seconds ago."""

    def __init__(self, consumer: GroupConsumer, clock: Callable[[], float]) -> None:
        self._consumer = consumer
        self._clock = clock
        self._ends: dict[TopicPartition, int | None] = {}
        self._asked_at: dict[TopicPartition, float] = {}

    def of(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Return the ends of these partitions, None where none is known; the others are forgotten."""
        self._asked_at = {partition: self._asked_at.get(partition, -_AGE_SECONDS) for partition in partitions}
        self._ends = {partition: self._ends.get(partition) for partition in partitions}
        begun = self._clock()
        for partition in sorted(partitions, key=self._asked_at.__getitem__):
            now = self._clock()
            if now - begun >= _ASKING_SECONDS or now - self._asked_at[partition] < _AGE_SECONDS:
                break
            self._ends[partition] = self._consumer.ask_end(partition)
            self._asked_at[partition] = now
        return self._ends
