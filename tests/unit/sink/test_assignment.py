"""Which partitions a worker may take from: the single steps."""

import pytest

from inbox.errors import HaltError
from inbox.events import TopicPartition
from inbox.sink.assignment import Assignment, Phase
from inbox.store.inbox.ledger import ActiveReplay, LedgerRow

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def ledger_row(
    address: TopicPartition = P0, *, offset: int = 10, owner: str | None = "me", epoch: int = 1
) -> LedgerRow:
    return LedgerRow(7, address, offset, owner, epoch)


@pytest.fixture(name="assignment")
def assignment_() -> Assignment:
    """Has `orders[0]`, active from offset 10 with epoch 1."""
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([ledger_row()])
    assignment.placed(P0)
    return assignment


def test_a_partition_is_handed_out_paused_until_the_ledger_was_asked() -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assert assignment.to_acquire(0.0) == [P0]
    assert assignment.active(P0) is None


def test_an_acquired_partition_is_placed_where_the_ledger_stands() -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([ledger_row(offset=42)])
    assert assignment.to_place() == [(P0, 42, None)]
    assert assignment.active(P0) is None


def test_an_answer_for_a_partition_revoked_meanwhile_is_passed_over(assignment: Assignment) -> None:
    assignment.revoked([P0])
    assignment.acquired([ledger_row()])
    assert assignment.partitions == {}


def test_a_second_answer_does_not_move_an_active_partition(assignment: Assignment) -> None:
    assignment.acquired([ledger_row(offset=5, epoch=9)])
    assert assignment.partitions[P0].taken == 10
    assert assignment.all_active() == [P0]


def test_a_fenced_partition_is_not_taken_from_before_the_ledger_was_asked(assignment: Assignment) -> None:
    assignment.fenced([P0])
    assert assignment.active(P0) is None
    assert assignment.needs_refresh()


def test_a_replay_or_a_retry_that_raised_the_epoch_makes_the_partition_be_acquired_anew(assignment: Assignment) -> None:
    assignment.fenced([P0])
    assert assignment.refreshed([ledger_row(offset=3, epoch=2)], 0.0, idle=False) == [P0]
    assert assignment.to_place() == []
    assert assignment.to_acquire(0.0) == [P0]
    assignment.acquired([ledger_row(offset=3, epoch=3)])
    assert assignment.to_place() == [(P0, 3, None)]
    assert assignment.partitions[P0].owner_epoch == 3


def test_an_idle_worker_acquires_anew_where_a_retry_raised_nothing_but_the_epoch(assignment: Assignment) -> None:
    assert assignment.refreshed([ledger_row(epoch=2)], 0.0, idle=True) == [P0]
    assert assignment.active(P0) is None
    assert assignment.to_acquire(0.0) == [P0]


def test_where_only_the_offset_moved_the_partition_is_placed_anew(assignment: Assignment) -> None:
    assignment.fenced([P0])
    assert assignment.refreshed([ledger_row(offset=12)], 0.0, idle=False) == [P0]
    assert assignment.to_place() == [(P0, 12, None)]


def test_an_idle_worker_finds_a_replay_without_being_fenced(assignment: Assignment) -> None:
    assert assignment.refreshed([ledger_row(offset=3, epoch=2)], 0.0, idle=True) == [P0]


def test_a_worker_with_records_at_hand_leaves_it_to_the_fence(assignment: Assignment) -> None:
    assert assignment.refreshed([ledger_row(offset=3, epoch=2)], 0.0, idle=False) == []
    assert assignment.all_active() == [P0]


def test_a_look_that_finds_everything_as_it_was_moves_nothing(assignment: Assignment) -> None:
    assert assignment.refreshed([ledger_row()], 0.0, idle=True) == []


def test_a_partition_of_another_owner_is_left_alone_for_a_while(assignment: Assignment) -> None:
    assignment.fenced([P0])
    assignment.refreshed([ledger_row(owner="another", epoch=2)], 100.0, idle=False)
    assert assignment.partitions[P0].phase is Phase.WITHHELD
    assert assignment.to_acquire(144.9) == []
    assert assignment.to_acquire(145.0) == [P0]


def lose_and_take_back(assignment: Assignment, turn: int) -> None:
    """Another worker takes the partition, and after the while this one takes it back."""
    assignment.fenced([P0])
    assignment.refreshed([ledger_row(owner="another", epoch=2 * turn)], 0.0, idle=False)
    assert assignment.to_acquire(45.0) == [P0]
    assignment.acquired([ledger_row(epoch=2 * turn + 1)])
    assignment.placed(P0)


def test_two_workers_that_keep_taking_a_partition_from_each_other_halt(assignment: Assignment) -> None:
    for turn in range(1, 5):
        lose_and_take_back(assignment, turn)
    with pytest.raises(HaltError, match=r"orders\[0\] is taken away again and again by another"):
        lose_and_take_back(assignment, 5)


def test_a_batch_that_was_settled_between_forgets_earlier_takeovers(assignment: Assignment) -> None:
    for turn in range(1, 10):
        lose_and_take_back(assignment, turn)
        assignment.settled(P0, 11)
    assert assignment.all_active() == [P0]


def test_a_fence_does_not_reach_a_partition_that_was_assigned_anew_meanwhile(assignment: Assignment) -> None:
    assignment.revoked([P0])
    assignment.assigned([P0])
    assignment.fenced([P0])
    assert assignment.to_acquire(0.0) == [P0]


def test_a_settled_batch_moves_what_is_known_of_the_ledger(assignment: Assignment) -> None:
    assignment.settled(P0, 12)
    assert assignment.refreshed([ledger_row(offset=12)], 0.0, idle=True) == []


def test_a_late_answer_does_not_move_a_partition_that_is_placed_anew(assignment: Assignment) -> None:
    assignment.fenced([P0])
    assignment.refreshed([ledger_row(offset=3)], 0.0, idle=False)
    assignment.settled(P0, 12)
    assert assignment.to_place() == [(P0, 3, None)]


def test_what_belongs_to_nobody_here_is_passed_over(assignment: Assignment) -> None:
    assignment.fenced([P1])
    assignment.settled(P1, 5)
    assignment.revoked([P1])
    assert assignment.refreshed([ledger_row(P1)], 0.0, idle=True) == []
    assert list(assignment.partitions) == [P0]


def test_a_partition_with_too_many_letters_is_not_taken_from_until_the_ledger_says_otherwise(
    assignment: Assignment,
) -> None:
    assert assignment.pause([P0, P1]) == [P0]
    assert (assignment.active(P0), assignment.paused()) == (None, [P0])
    assert assignment.refreshed([ledger_row()._replace(too_many_letters=True)], 0.0, idle=False) == []
    assert assignment.paused() == [P0]
    assert assignment.refreshed([ledger_row()], 0.0, idle=False) == []
    assert (assignment.paused(), assignment.to_place()) == ([], [(P0, 10, None)])


def test_a_partition_with_too_many_letters_is_paused_as_soon_as_it_is_acquired() -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([ledger_row()._replace(too_many_letters=True)])
    assert (assignment.paused(), assignment.to_place()) == ([P0], [])


def test_a_replay_or_a_retry_of_a_paused_partition_makes_it_be_acquired_anew(assignment: Assignment) -> None:
    assignment.pause([P0])
    assert assignment.refreshed([ledger_row(offset=3, epoch=2)._replace(too_many_letters=True)], 0.0, idle=False) == [
        P0
    ]
    assert assignment.to_acquire(0.0) == [P0]


def test_a_paused_partition_that_another_worker_took_is_left_to_it(assignment: Assignment) -> None:
    assignment.pause([P0])
    assert assignment.refreshed([ledger_row(owner="other", epoch=2)], 0.0, idle=False) == [P0]
    assert assignment.partitions[P0].phase is Phase.WITHHELD


def test_a_partition_is_taken_up_to_the_event_that_misses_a_row_and_held_there_for_a_while(
    assignment: Assignment,
) -> None:
    assert assignment.await_row(P0, 15)
    assert assignment.edges() == {P0: 15}
    assert assignment.halt_at_rows(0.0) == []
    assignment.settled(P0, 15)
    assert assignment.halt_at_rows(0.0) == [P0]
    assert (assignment.active(P0), assignment.awaiting()) == (None, [P0])
    assignment.try_rows(0.05)
    assert assignment.awaiting() == [P0]
    assignment.try_rows(2.0)
    assert (assignment.awaiting(), assignment.edges(), assignment.needs_refresh()) == ([], {}, True)
    assert assignment.refreshed([ledger_row(offset=15)], 2.0, idle=False) == [P0]
    assert assignment.to_place() == [(P0, 15, None)]


def test_a_partition_whose_next_event_misses_a_row_is_held_at_once(assignment: Assignment) -> None:
    assert not assignment.await_row(P0, 10)
    assert assignment.halt_at_rows(0.0) == [P0]


def test_a_replay_or_a_retry_of_a_partition_that_is_held_at_a_row_is_seen(assignment: Assignment) -> None:
    assignment.await_row(P0, 10)
    assignment.halt_at_rows(0.0)
    assert assignment.refreshed([ledger_row(epoch=2)], 0.0, idle=False) == [P0]
    assert assignment.to_acquire(0.0) == [P0]


def test_a_held_partition_is_not_taken_from_and_continues_where_the_ledger_is_when_it_is_released() -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([ledger_row()._replace(held=True)])
    assert assignment.to_place() == []
    assert assignment.held() == [P0]
    assignment.refreshed([ledger_row()], 0.0, idle=True)
    assert assignment.to_place() == [(P0, 10, None)]


@pytest.mark.parametrize("idle", [True, False])
def test_an_active_partition_that_is_held_is_let_go_of(idle: bool) -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([ledger_row()])
    assignment.placed(P0)
    assert assignment.refreshed([ledger_row()._replace(held=True)], 0.0, idle=idle) == [P0]
    assert assignment.all_active() == []
    assert assignment.not_held() == set()


def test_a_replay_with_a_speed_rests_after_its_part_until_its_turn() -> None:
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    replay = ActiveReplay(3, 500, None, force=False, per_second=40)
    assignment.acquired([ledger_row(offset=10)._replace(replay=replay)])
    assignment.placed(P0)
    assert assignment.edges() == {P0: 20}
    assignment.settled(P0, 15)
    assert assignment.rest({P0: 1.0}, 0.0) == []
    assignment.settled(P0, 20)
    assert assignment.rest({P0: 2.0}, 1.0) == [P0]
    assignment.try_rows(2.9)
    assert not assignment.needs_refresh()
    assignment.try_rows(3.0)
    assert assignment.refreshed([ledger_row(offset=20)], 3.0, idle=True) == [P0]
    assert assignment.to_place() == [(P0, 20, None)]
    assert assignment.partitions[P0].rest_edge == 30
