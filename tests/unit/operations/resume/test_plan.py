"""What continuing after a halt would cost."""

from uuid import UUID

import pytest

from inbox.events import TopicPartition
from inbox.operations.resume.plan import Facts, RefusedError, Request, Step, plan
from inbox.sink.guards.log_check import LogView
from inbox.store.inbox.ledger import KnownPartition

P0 = TopicPartition("orders", 0)
P1 = TopicPartition("orders", 1)
OLD, NEW = UUID(int=1), UUID(int=2)


def known(at: TopicPartition = P0, next_offset: int = 100, **other: object) -> KnownPartition:
    facts = {"partition_id": at.partition + 1, "cluster_id": "c", "topic_id": OLD, "leader_epoch": 3, **other}
    return KnownPartition(address=at, next_offset=next_offset, **facts)  # type: ignore[arg-type]


def facts(
    *rows: KnownPartition,
    start: int = 0,
    end: int = 200,
    topic_id: UUID | None = OLD,
    cluster_id: str = "c",
    agrees_until: dict[TopicPartition, int] | None = None,
    open_letters: dict[int, int] | None = None,
) -> Facts:
    rows = rows or (known(),)
    log = LogView(cluster_id=cluster_id, topic_id=topic_id, starts={P0: start}, ends={P0: end})
    return Facts(known=rows, log=log, agrees_until=agrees_until or {}, open_letters=open_letters or {})


def planned(found: Facts, **request: object) -> Step:
    [step] = plan(Request(topic="orders", **request), found)  # type: ignore[arg-type]
    return step


def cost(step: Step) -> tuple[int | None, int | None]:
    return step.lost, step.repeated


def test_going_on_where_the_ledger_stands_costs_nothing() -> None:
    step = planned(facts(), from_offset=100)
    assert (cost(step), step.costs, step.successor.another_log) == ((0, 0), False, False)


def test_what_retention_deleted_is_lost_and_counted() -> None:
    step = planned(facts(start=140))
    assert (step.successor.to_offset, cost(step)) == (140, (40, 0))
    assert step.successor.consequence == (
        "40 offsets (100 up to 139) are lost: the log deleted them before they were settled"
    )


def test_what_is_passed_over_is_told_apart_from_what_the_log_deleted() -> None:
    step = planned(facts(start=140), from_offset=150)
    assert cost(step) == (50, 0)
    assert step.successor.consequence.endswith(
        "10 offsets (140 up to 149) are lost: the log has them, and they are passed over"
    )


def test_going_back_repeats_and_loses_nothing() -> None:
    step = planned(facts(), from_offset=99)
    assert cost(step) == (0, 1)
    assert step.successor.consequence.startswith("offset 99 come again")


def test_a_topic_made_anew_is_another_log_whose_costs_nobody_knows() -> None:
    step = planned(facts(topic_id=NEW, end=5), new_topic=True)
    assert step.successor.another_log
    assert (step.successor.to_offset, step.successor.topic_id, cost(step)) == (0, NEW, (None, None))
    assert step.costs


def test_another_cluster_is_another_log() -> None:
    step = planned(facts(cluster_id="d"), new_topic=True)
    assert (step.successor.another_log, step.successor.cluster_id) == (True, "d")


def test_a_log_that_ends_before_the_ledger_is_another_log() -> None:
    assert planned(facts(end=60), from_offset=0).successor.another_log


def test_in_a_truncated_log_the_offset_where_it_differs_costs_nothing() -> None:
    step = planned(facts(agrees_until={P0: 80}), from_offset=80)
    assert (cost(step), step.differs_from, step.successor.another_log) == ((0, 0), 80, True)
    assert "was truncated at 80: 20 offsets (80 up to 99)" in step.successor.consequence


@pytest.mark.parametrize(("from_offset", "expected"), [(85, (5, 0)), (70, (0, 10))])
def test_in_a_truncated_log_any_other_offset_loses_or_repeats(from_offset: int, expected: tuple[int, int]) -> None:
    assert cost(planned(facts(agrees_until={P0: 80}), from_offset=from_offset)) == expected


def test_a_partition_that_is_gone_ends() -> None:
    step = planned(facts(known(P1), topic_id=NEW), new_topic=True)
    assert (step.successor.to_offset, cost(step)) == (None, (None, 0))
    assert "no such partition any more" in step.successor.consequence


def test_open_dead_letters_of_a_log_left_behind_are_told() -> None:
    step = planned(facts(topic_id=NEW, open_letters={1: 3}), new_topic=True)
    assert step.successor.consequence.endswith(
        "3 dead letters of the log before stay open, and later events of their keys no longer wait for them"
    )


def test_only_the_partitions_that_are_named_go_on() -> None:
    both = facts(known(P0), known(P1))
    assert [step.address for step in plan(Request(topic="orders", partitions=(0,)), both)] == [P0]


@pytest.mark.parametrize(
    ("request_", "found", "text"),
    [
        (Request(topic="orders", partitions=(7,)), facts(), "the ledger has no partition 7 of orders; it has 0"),
        (Request(topic="orders", from_offset=201), facts(), "outside the log: orders[0] has 0 up to 200"),
        (Request(topic="orders", from_offset=3), facts(start=4), "outside the log: orders[0] has 4 up to 200"),
        (Request(topic="orders", new_topic=True), facts(), "is the one that the ledger has"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(request_: Request, found: Facts, text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        plan(request_, found)
    assert text in str(refused.value)


def test_a_topic_whose_id_nobody_knows_may_be_a_new_one() -> None:
    assert planned(facts(known(topic_id=None), topic_id=None), new_topic=True).successor.another_log
