"""The example: its planned traffic, and its handler through the public interface."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory.handlers import RESERVE, TAKE_STOCK, reserve_stock
from inventory.traffic import Fate, Order, plan

from inbox import Event, EventError, Transaction


def orders_of(count: int, seed: int, *fates: Fate) -> list[Order]:
    return [order for step in plan(count, seed=seed) if step.fate in fates for order in step.orders]


@given(st.integers(1, 400), st.integers(0, 50))
def test_the_plan_commits_each_of_so_many_orders_once_apart_from_repeats(count: int, seed: int) -> None:
    committed = orders_of(count, seed, Fate.COMMITTED)
    assert len({order.event_id for order in committed}) == len(committed) == count


@given(st.integers(1, 400), st.integers(0, 50))
def test_what_is_repeated_was_committed_before_and_is_the_same(count: int, seed: int) -> None:
    committed: set[Order] = set()
    for step in plan(count, seed=seed):
        if step.fate is Fate.REPEATED:
            assert committed.issuperset(step.orders)
        elif step.fate is Fate.COMMITTED:
            committed.update(step.orders)


def test_some_aborted_orders_are_tried_again_and_others_never_come() -> None:
    committed = set(orders_of(5000, 1, Fate.COMMITTED))
    aborted = set(orders_of(5000, 1, Fate.ABORTED))
    assert aborted & committed
    assert aborted - committed


def test_a_seed_decides_everything() -> None:
    assert list(plan(500, seed=3)) == list(plan(500, seed=3))
    assert list(plan(500, seed=3)) != list(plan(500, seed=4))


def test_another_seed_makes_other_orders() -> None:
    first, second = (orders_of(500, seed, Fate.COMMITTED) for seed in (1, 2))
    assert {order.order_id for order in first}.isdisjoint(order.order_id for order in second)
    assert {order.event_id for order in first}.isdisjoint(order.event_id for order in second)


def test_the_orders_of_the_tutorial_have_duplicates_among_them() -> None:
    assert orders_of(1000, 1, Fate.REPEATED)
    assert orders_of(1000, 1, Fate.ABORTED)


class Recorder:
    """A transaction that notes what it was asked to do."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Sequence[Any]]] = []

    def execute(self, query: str, parameters: Sequence[Any]) -> None:
        self.statements.append((query, parameters))


def order_event(quantity: int) -> Event:
    value = b'{"order_id": "O-1", "sku": "sku-01", "quantity": %d}' % quantity
    return Event(UUID(int=7), "OrderCreated", "order.events", 0, 0, None, b"O-1", value)


def test_the_handler_takes_stock_and_notes_the_reservation() -> None:
    recorder = Recorder()
    reserve_stock(order_event(3), cast(Transaction, recorder))
    assert recorder.statements == [(TAKE_STOCK, (3, "sku-01")), (RESERVE, (UUID(int=7), "O-1", "sku-01", 3))]


def test_an_order_of_nothing_is_refused_as_an_event_that_cannot_succeed() -> None:
    with pytest.raises(EventError, match="quantity above 0"):
        reserve_stock(order_event(0), cast(Transaction, Recorder()))
