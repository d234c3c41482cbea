"""The columns of a batch, and parts of them."""

from dataclasses import fields
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from inbox.errors import EventError
from inbox.events import TopicPartition
from inbox.sink.batch import Batch, PartitionBatch, RouteBatch, RouteEvents
from tests.support.records import record

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def column_of(size: int) -> RouteBatch:
    return RouteBatch(
        ids=[UUID(int=n).bytes for n in range(size)],
        types=[str(n) for n in range(size)],
        records=[record(n) for n in range(size)],
        partition_ids=[n % 3 for n in range(size)],
    )


def part_of(address: TopicPartition, partition_id: int, events: RouteEvents) -> PartitionBatch:
    return PartitionBatch(address, partition_id, 1, 0, len(events.ids), {"r": events})


def events_of(offsets: range, refused: dict[int, EventError] | None = None) -> RouteEvents:
    ids = [UUID(int=offset).bytes for offset in offsets]
    return RouteEvents(ids, [None] * len(ids), [record(offset) for offset in offsets], refused or {})


columns_and_places = st.integers(0, 30).flatmap(
    lambda size: st.tuples(st.just(column_of(size)), st.sets(st.integers(0, max(0, size - 1)), max_size=size))
)


@given(columns_and_places)
def test_a_column_without_places_is_the_column_of_all_others(given_: tuple[RouteBatch, set[int]]) -> None:
    events, gone = given_
    gone &= set(range(len(events)))
    kept = [place for place in range(len(events)) if place not in gone]
    assert events.without(sorted(gone)) == events.only(kept)


@given(columns_and_places)
def test_parts_of_a_column_keep_its_lists_side_by_side(given_: tuple[RouteBatch, set[int]]) -> None:
    events, places = given_
    part = events.only(sorted(places & set(range(len(events)))))
    assert part.types == [str(each.offset()) for each in part.records]
    assert part.ids == [UUID(int=each.offset()).bytes for each in part.records]
    assert part.partition_ids == [each.offset() % 3 for each in part.records]


def test_a_column_has_all_partitions_one_after_the_other() -> None:
    refusal = EventError("no id")
    batch = Batch({P0: part_of(P0, 7, events_of(range(2))), P1: part_of(P1, 8, events_of(range(2, 5), {1: refusal}))})
    events = batch.of_route("r")
    assert [each.offset() for each in events.records] == [0, 1, 2, 3, 4]
    assert events.partition_ids == [7, 7, 8, 8, 8]
    assert events.refused == {3: refusal}


def test_a_route_without_events_has_an_empty_column() -> None:
    assert len(Batch({P0: part_of(P0, 7, events_of(range(0)))}).of_route("r")) == 0
    assert len(Batch({P0: part_of(P0, 7, events_of(range(2)))}).of_route("other")) == 0


def test_a_column_of_a_batch_does_not_change_the_batch() -> None:
    events = events_of(range(2))
    batch = Batch({P0: part_of(P0, 7, events), P1: part_of(P1, 8, events_of(range(2)))})
    batch.of_route("r")
    assert len(events.ids) == 2


def test_a_batch_without_a_partition_keeps_the_others() -> None:
    batch = Batch({P0: part_of(P0, 7, events_of(range(2))), P1: part_of(P1, 8, events_of(range(2)))})
    assert list(batch.without([P0]).partitions) == [P1]
    assert list(batch.partitions) == [P0, P1]
    assert not batch.without([P0, P1])


def test_every_list_of_a_column_is_cut_with_the_others() -> None:
    """A list that somebody adds later has to be in `only` and `without` too."""
    events = column_of(3)
    lists = [each.name for each in fields(RouteBatch) if isinstance(getattr(events, each.name), list)]
    for part in (events.only([1]), events.without([0, 2])):
        assert {name: len(getattr(part, name)) for name in lists} == dict.fromkeys(lists, 1)
