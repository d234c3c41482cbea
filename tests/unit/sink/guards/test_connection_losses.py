"""Whose fault lost connections are."""

from inbox.sink.guards.connection_losses import EventAddress, Losses

EVENT, ANOTHER = EventAddress(1, 1, 7), EventAddress(1, 1, 8)
START, LATER = "2026-11-30 07:00:00+00", "2026-11-30 08:00:00+00"


def lost_and_controlled(losses: Losses, *starts: str) -> list[int]:
    """How many losses count after each control, with a loss before it."""
    counts = []
    for start in starts:
        losses.alone(EVENT)
        counts.append(losses.control_passed(start))
    return counts


def test_losses_count_once_a_control_passed_before_and_after() -> None:
    assert lost_and_controlled(Losses(), START, START, START) == [0, 1, 2]


def test_a_restart_of_the_server_explains_a_loss() -> None:
    assert lost_and_controlled(Losses(), START, LATER, START, LATER) == [0, 0, 0, 0]
    assert lost_and_controlled(Losses(), START, START, LATER, LATER) == [0, 1, 1, 2]


def test_a_control_that_is_lost_too_clears_the_event() -> None:
    losses = Losses()
    assert lost_and_controlled(losses, START, START) == [0, 1]
    losses.control_lost()
    assert lost_and_controlled(losses, START, START) == [0, 1]


def test_a_control_counts_nothing_twice() -> None:
    losses = Losses()
    assert lost_and_controlled(losses, START, START) == [0, 1]
    assert losses.control_passed(START) == 1


def test_each_event_has_losses_of_its_own() -> None:
    losses = Losses()
    assert lost_and_controlled(losses, START, START) == [0, 1]
    losses.alone(ANOTHER)
    assert losses.lone_at(1, 7) is None
    assert losses.lone_at(1, 8) == ANOTHER
    assert losses.control_passed(START) == 0


def test_a_batch_is_taken_apart_once_it_was_lost_twice_in_a_row() -> None:
    losses = Losses()
    assert [losses.together((EVENT,)), losses.together((EVENT,))] == [False, True]
    assert not losses.together((ANOTHER,))
    losses.settled()
    assert not losses.together((ANOTHER,))
