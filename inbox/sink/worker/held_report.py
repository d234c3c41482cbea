"""Report the partitions of a worker that a person holds: a line at the start and at the end, and a gauge."""

from collections import Counter
from collections.abc import Iterable

from inbox.events import TopicPartition
from inbox.log_lines import log
from inbox.telemetry import HELD


class HeldReport:
    """The held partitions as they were reported last."""

    def __init__(self) -> None:
        self._partitions: frozenset[TopicPartition] = frozenset()

    def now(self, partitions: Iterable[TopicPartition]) -> None:
        """Record that exactly these partitions are held now."""
        before, self._partitions = self._partitions, frozenset(partitions)
        if self._partitions == before:
            return
        self._count(before)
        if begun := self._partitions - before:
            log().warning(
                "partitions-held",
                partitions=sorted(map(str, begun)),
                remedy="see `inbox status` for who holds them and why; `inbox release` lets them continue",
            )
        if ended := before - self._partitions:
            log().info("partitions-released", partitions=sorted(map(str, ended)))

    def close(self) -> None:
        """Record that the worker ends; the holds stay."""
        before, self._partitions = self._partitions, frozenset()
        self._count(before)

    def _count(self, before: frozenset[TopicPartition]) -> None:
        held = Counter(partition.topic for partition in self._partitions)
        for topic in {partition.topic for partition in before | self._partitions}:
            HELD.labels(topic).set(held[topic])
