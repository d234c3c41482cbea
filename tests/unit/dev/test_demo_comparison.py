"""What the demo's table counts."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from inbox.dev.demo.comparison import ConsumerDatabase, Truth, judged

FIRST, SECOND, NEVER = UUID(int=1), UUID(int=2), UUID(int=3)
TRUTH = Truth(frozenset({FIRST, SECOND}), {"a": 7, "b": 9})
RIGHT = ConsumerDatabase({FIRST: 1, SECOND: 1}, {"a": 7, "b": 9})


def test_each_event_once_and_the_right_stock_is_exact() -> None:
    assert judged(TRUTH, RIGHT).exact


def test_an_event_that_is_not_there_is_lost() -> None:
    verdict = judged(TRUTH, replace(RIGHT, applied={FIRST: 1}))
    assert (verdict.applied, verdict.lost, verdict.doubled, verdict.exact) == (1, 1, 0, False)


def test_every_application_after_the_first_is_doubled() -> None:
    verdict = judged(TRUTH, replace(RIGHT, applied={FIRST: 3, SECOND: 1}))
    assert (verdict.applied, verdict.lost, verdict.doubled, verdict.exact) == (4, 0, 2, False)


def test_an_aborted_event_is_neither_lost_nor_doubled_and_never_exact() -> None:
    verdict = judged(TRUTH, replace(RIGHT, applied={**RIGHT.applied, NEVER: 2}))
    assert (verdict.lost, verdict.doubled, verdict.never_committed, verdict.exact) == (0, 0, 2, False)


def test_a_loss_and_a_doubling_that_cancel_out_in_the_total_leave_the_stock_wrong() -> None:
    verdict = judged(TRUTH, ConsumerDatabase({FIRST: 2}, {"a": 6, "b": 10}))
    assert verdict.applied == verdict.committed
    assert (verdict.lost, verdict.doubled, verdict.stock_right) == (1, 1, False)


IDS = st.integers(1, 30).map(lambda number: UUID(int=number))


@given(st.frozensets(IDS), st.dictionaries(IDS, st.integers(1, 5)))
def test_the_columns_add_up(committed: frozenset[UUID], applied: dict[UUID, int]) -> None:
    verdict = judged(Truth(committed, {}), ConsumerDatabase(applied, {}))
    assert verdict.applied == verdict.committed - verdict.lost + verdict.doubled + verdict.never_committed
