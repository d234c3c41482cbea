"""A failure counts against an event only beside a success of the same state, whenever the database changes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.sink.settle.fault.try_order import TryOrder

POISON, HELD_UP, GOOD = 0, 1, 2
"""An event that fails in each state, one that fails in one of the two states, and one that passes in each."""


def proven(tries: Sequence[tuple[int, bool]], index: int) -> bool:
    """Return whether these tries, each an event and whether it passed, prove that the event is at fault."""
    order = TryOrder()
    failed = False
    for event, passed in tries:
        if passed:
            order.passed()
        else:
            order.failed(event)
            failed = failed or event == index
    return failed and order.is_proven(index)


@pytest.mark.parametrize("tries", ["F", "FF", "FP", "PF", "PFP", "PFF", "FFP"])
def test_a_success_on_one_side_of_the_failures_proves_nothing(tries: str) -> None:
    assert not proven([(GOOD if each == "P" else POISON, each == "P") for each in tries], POISON)


@pytest.mark.parametrize("tries", ["FPF", "FPPF", "PFPF"])
def test_a_failure_on_both_sides_of_a_success_is_the_events(tries: str) -> None:
    assert proven([(GOOD if each == "P" else POISON, each == "P") for each in tries], POISON)


@given(
    events=st.lists(st.sampled_from([POISON, HELD_UP, GOOD]), min_size=1, max_size=12),
    change=st.integers(0, 12),
    breaks=st.booleans(),
)
def test_no_event_is_at_fault_for_a_state_in_which_it_is_held_up_with_all_others(
    events: Sequence[int], change: int, breaks: bool
) -> None:
    """The database changes once: in its broken state, all events fail."""
    tries = []
    for at, event in enumerate(events):
        broken = (at >= change) if breaks else (at < change)
        tries.append((event, event != POISON and not broken))
    assert not proven(tries, HELD_UP)
    assert not proven(tries, GOOD)


def test_only_the_success_of_the_failed_statements_counts() -> None:
    order = TryOrder()
    order.failed(0)
    order.passed(["INSERT INTO a"])
    assert order.passed_since(0)
    assert not order.passed_since(0, ["INSERT INTO b"])
    order.failed(0)
    assert order.is_proven(0, ["INSERT INTO a"])
    assert not order.is_proven(0, ["INSERT INTO b"])
