"""The ledger beside the logs, whatever moves between the reads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicView
from inbox.sink.guards.log_check import mismatches
from inbox.sink.guards.log_comparison import read_comparable
from inbox.store.inbox.ledger import KnownPartition

TOPIC_ID = UUID(int=7)


class World:
    """A cluster and a ledger that move before every read: by (appended, settled, deleted, partitions added)."""

    def __init__(self, moves: Iterable[tuple[int, int, int, int]], topic_id: UUID | None = TOPIC_ID) -> None:
        self._moves = iter(moves)
        self._topic_id = topic_id
        self.logs = [[0, 5, 10]]
        """Start, next offset and end of each partition."""

    def move(self) -> None:
        appended, settled, deleted, added = next(self._moves, (0, 0, 0, 0))
        self.logs += [[0, 0, 0] for _ in range(added)]
        for log in self.logs:
            log[2] += appended
            log[1] = min(log[2], log[1] + settled)
            log[0] = min(log[1], log[0] + deleted)

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicView]:
        self.move()
        return {name: TopicView(name, self._topic_id, tuple(range(len(self.logs)))) for name in names}

    def log_starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.move()
        return {at: self.logs[at.partition][0] for at in partitions}

    def stable_ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.move()
        return {at: self.logs[at.partition][2] for at in partitions}

    def ledger(self, topics: Sequence[str]) -> list[KnownPartition]:
        self.move()
        return [
            KnownPartition(
                partition_id=number + 1,
                cluster_id="c",
                address=TopicPartition(topics[0], number),
                topic_id=self._topic_id,
                next_offset=log[1],
            )
            for number, log in enumerate(self.logs)
        ]

    def mismatches(self) -> list[str]:
        found = read_comparable(cast("Cluster", self), "c", ["orders"], self.ledger)["orders"]
        return mismatches(found.known, found.log)


small = st.integers(0, 20)
moves = st.lists(st.tuples(small, small, small, st.integers(0, 1)), max_size=8)


@given(moves, st.sampled_from([TOPIC_ID, None]))
def test_a_sink_that_runs_is_no_misfit(moves: list[tuple[int, int, int, int]], topic_id: UUID | None) -> None:
    assert World(moves, topic_id).mismatches() == []


@given(moves)
def test_a_truncated_log_is_one_whatever_moves(moves: list[tuple[int, int, int, int]]) -> None:
    world = World((0, 0, deleted, added) for _, _, deleted, added in moves)
    world.logs[0] = [0, 11, 10]
    world.move = lambda: None  # type: ignore[method-assign]
    assert "it was truncated" in world.mismatches()[0]


def test_a_partition_that_a_broker_does_not_know_yet_is_no_misfit_of_the_same_topic() -> None:
    world = World([])
    lagging = read_comparable(cast("Cluster", world), "c", ["orders"], world.ledger)["orders"].log
    world.logs.append([0, 0, 0])
    assert mismatches(world.ledger(["orders"]), lagging) == []


def test_a_record_that_arrives_during_the_search_for_a_time_is_behind_the_start() -> None:
    at, end = TopicPartition("orders", 0), iter([10, 11])

    class Growing(Cluster):
        def __init__(self) -> None:
            pass

        def _offsets(self, partitions: Iterable[TopicPartition], spec: Any) -> dict[TopicPartition, int]:
            before = next(end)
            is_by_time = spec._value not in (-1, -2)
            # Nothing is as young at the first question; by the second one a younger record is at offset 10.
            return dict.fromkeys(partitions, (-1 if before == 10 else 10) if is_by_time else before)

    assert Growing().offsets_at([at], datetime(2026, 1, 31, tzinfo=UTC)) == {at: 10}
