"""How long a producer's open transaction holds a partition up, by librdkafka's statistics."""

from typing import Any

import orjson
import pytest

from inbox.events import TopicPartition
from inbox.kafka.log.open_transactions import OpenTransactions
from inbox.telemetry import OPEN_TRANSACTION_SECONDS

P0 = TopicPartition("held-up", 0)


class Watch:
    """Statistics a second apart; `shown` is what the metric says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.transactions = OpenTransactions(lambda: self.now)

    def tick(
        self, stable: int, end: int, *, read: int | None = None, seconds: float = 1.0, watched: bool = True
    ) -> None:
        self.now += seconds
        each = {"ls_offset": stable, "hi_offset": end, "next_offset": stable if read is None else read}
        told = {"topics": {P0.topic: {"partitions": {"0": each, "-1": {**each, "ls_offset": -1001}}}}}
        self.transactions.statistics(orjson.dumps(told).decode(), {P0} if watched else set())

    @property
    def shown(self) -> Any:
        return OPEN_TRANSACTION_SECONDS.labels(P0.topic, "0")._value.get()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_it_counts_while_the_last_stable_offset_stands_below_the_end(watch: Watch) -> None:
    watch.tick(5, 5)
    assert watch.shown == 0
    for end in (7, 8, 8):
        watch.tick(5, end)
    assert watch.shown == 2
    watch.tick(8, 8)
    assert watch.shown == 0


def test_a_last_stable_offset_that_moves_is_another_transaction(watch: Watch) -> None:
    for offset in range(100):
        watch.tick(offset, offset + 10)
    assert watch.shown == 0


def test_a_partition_that_is_behind_is_not_held_up(watch: Watch) -> None:
    for _ in range(3):
        watch.tick(5, 8, read=2)
    assert watch.shown == 0


def test_a_person_is_told_once_for_each_transaction(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        watch.tick(5, 8)
    watch.tick(9, 9)
    for _ in range(100):
        watch.tick(9, 12)
    said = capsys.readouterr()
    assert (said.out + said.err).count("transaction-open") == 2


def test_what_is_not_watched_is_not_shown(watch: Watch) -> None:
    for _ in range(5):
        watch.tick(5, 8)
    watch.tick(5, 8, watched=False)
    assert watch.shown == 0
    watch.tick(5, 8)
    watch.tick(5, 8)
    assert watch.shown == 1
