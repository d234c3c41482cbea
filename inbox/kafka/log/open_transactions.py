"""Measure how long a producer's open transaction has held up a partition whose log continues to grow.

`read_committed` delivers nothing behind the first record of a transaction that is neither committed nor
aborted. The lag is counted up to that record, so it is 0 however much waits behind it. Brokers abort a
transaction after its producer's `transaction.timeout.ms`; a hanging one stays until a person aborts it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import orjson

from inbox.events import TopicPartition
from inbox.log_lines import log
from inbox.telemetry import OPEN_TRANSACTION_SECONDS

_WARN_SECONDS = 60.0


class OpenTransactions:
    """A watch, by librdkafka's statistics, on the partitions that were read up to their last stable offset."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing: dict[TopicPartition, tuple[int, float]] = {}
        self._shown: set[TopicPartition] = set()
        self._warned: set[TopicPartition] = set()

    def statistics(self, text: str, partitions: Collection[TopicPartition]) -> None:
        """Record once a second where the logs of these partitions stand; nothing new is known of other partitions."""
        found = {at: ends for at, *ends in _held_up(orjson.loads(text)) if at in partitions}
        self.forget([at for at in self._shown if at not in partitions])
        for at in partitions:
            stable, end = found.get(at, (-1, -1))
            before, since = self._standing.get(at, (-1, 0.0))
            if stable < 0 or stable != before:
                since = self._clock()
                self._warned.discard(at)
            self._standing[at] = stable, since
            self._show(at, stable, end, self._clock() - since if stable >= 0 else 0.0)

    def _show(self, at: TopicPartition, stable: int, end: int, seconds: float) -> None:
        self._shown.add(at)
        OPEN_TRANSACTION_SECONDS.labels(at.topic, str(at.partition)).set(seconds)
        if seconds >= _WARN_SECONDS and at not in self._warned:
            self._warned.add(at)
            log().warning(
                "transaction-open",
                partition=str(at),
                last_stable_offset=stable,
                high_watermark=end,
                seconds=round(seconds, 1),
                remedy="nothing behind it is delivered: look for its producer, or abort it with kafka-transactions",
            )

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what is known of these partitions."""
        for at in list(partitions):
            self._standing.pop(at, None)
            self._warned.discard(at)
            if at in self._shown:
                self._shown.discard(at)
                OPEN_TRANSACTION_SECONDS.remove(at.topic, str(at.partition))


def _held_up(statistics: dict[str, Any]) -> Iterator[tuple[TopicPartition, int, int]]:
    """Yield the partitions that were read up to a last stable offset below the end of their log."""
    for topic, of_topic in statistics.get("topics", {}).items():
        for number, each in of_topic["partitions"].items():
            stable, end = each["ls_offset"], each["hi_offset"]
            if 0 <= stable < end and each["next_offset"] >= stable:
                yield TopicPartition(topic, int(number)), stable, end
