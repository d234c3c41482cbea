"""The keys of a retry that share a transaction."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from inbox.events import TopicPartition
from inbox.operations.dead_letters.groups import Groups
from inbox.operations.dead_letters.plan import UnitPlan
from inbox.sink.letters.resolver import Retried, Unit
from inbox.store.inbox.dead_letter_queries import AffectedLetter
from inbox.store.inbox.dead_letters import State

EPOCH = datetime(2026, 1, 31, tzinfo=UTC)
APPLIED, FAILED = Retried(applied=1), Retried(failed=((1, "no"),), waiting=2)


def unit(number: int, *, partition: int = 0, events: int = 1) -> UnitPlan:
    key, at = str(number).encode(), TopicPartition("orders", partition)
    letters = [
        AffectedLetter(
            number * 10_000 + each, State.PARKED, 1, "orders", partition, at, each, key, True, False, EPOCH, 1
        )
        for each in range(events)
    ]
    ids = tuple(each.dead_letter_id for each in letters)
    return UnitPlan(unit=Unit(route_id=1, partition_id=partition, key=key, ids=ids), letters=letters)


def sizes(
    units: Sequence[UnitPlan],
    outcome: Callable[[int], Retried] = lambda _: APPLIED,
    *,
    most_failed: int | None = 20,
    seconds: float = 0.1,
) -> tuple[list[int], int]:
    """Return how many keys each group has, and how many are left."""
    now = [0.0]
    groups, found, tried = Groups(most_failed, clock=lambda: now[0]), [], 0
    for group in groups.of(units):
        now[0] += seconds
        for _ in group:
            groups.note(outcome(tried))
            tried += 1
        found.append(len(group))
    return found, groups.left


def test_groups_of_keys_grow_while_they_are_quick() -> None:
    assert sizes([unit(number) for number in range(200)]) == ([20, 40, 80, 60], 0)


def test_a_slow_group_is_followed_by_smaller_ones() -> None:
    assert sizes([unit(number) for number in range(40)], seconds=3.0)[0] == [20, 10, 5, 5]


def test_a_group_is_of_one_partition() -> None:
    units = [unit(number, partition=number // 5) for number in range(15)]
    assert sizes(units) == ([5, 5, 5], 0)


def test_a_group_has_a_bounded_number_of_events_and_at_least_one_key() -> None:
    assert sizes([unit(number, events=900) for number in range(5)])[0] == [2, 2, 1]
    assert sizes([unit(number, events=3000) for number in range(2)])[0] == [1, 1]


def test_a_retry_whose_cause_is_still_there_ends_after_so_many_keys_in_a_row() -> None:
    assert sizes([unit(number) for number in range(100)], lambda _: FAILED) == ([20], 80)
    late = sizes([unit(number) for number in range(100)], lambda number: APPLIED if number < 15 else FAILED)
    assert late == ([20, 15], 65)


def test_a_retry_that_keeps_going_tries_every_key() -> None:
    found, left = sizes([unit(number) for number in range(100)], lambda _: FAILED, most_failed=None)
    assert (sum(found), left) == (100, 0)


def test_failures_between_successes_end_nothing() -> None:
    found, left = sizes([unit(number) for number in range(100)], lambda number: FAILED if number % 3 else APPLIED)
    assert (sum(found), left) == (100, 0)
