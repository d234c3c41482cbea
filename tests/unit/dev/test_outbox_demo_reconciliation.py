"""Whether the places of `inbox demo --outbox` hold the same orders."""

from inbox.dev.demo.outbox_demo.reconciliation import HeldOrders, Line, held_orders

PLACED = {"O-1": 2, "O-2": 3}


def test_each_order_once_is_exact() -> None:
    found = held_orders(PLACED, [Line("O-2", 3), Line("O-1", 2)])
    assert found == HeldOrders(orders=2, lost=0, doubled=0, foreign=0, pieces=5)
    assert found.exact


def test_an_order_that_is_there_twice_is_whole_and_not_exact() -> None:
    found = held_orders(PLACED, [Line("O-1", 2), Line("O-1", 2), Line("O-2", 3)])
    assert (found.doubled, found.whole, found.exact) == (1, True, False)


def test_a_lost_order_is_neither() -> None:
    found = held_orders(PLACED, [Line("O-1", 2)])
    assert (found.lost, found.whole, found.exact) == (1, False, False)


def test_an_order_that_was_refused_is_foreign() -> None:
    found = held_orders(PLACED, [Line("O-1", 2), Line("O-2", 3), Line("O-3", 1)])
    assert (found.foreign, found.whole) == (1, False)


def test_an_order_with_other_pieces_is_foreign_and_lost() -> None:
    found = held_orders(PLACED, [Line("O-1", 2), Line("O-2", 30)])
    assert (found.lost, found.foreign, found.pieces) == (1, 1, 32)
