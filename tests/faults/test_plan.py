"""The plan is the seed's alone, and leaves no kind of fault out."""

from collections import Counter
from itertools import islice

from tests.faults.plan import FAULTS_A_ROUND, ROUND, SECONDS, Fault, Kind, plan

EVERY = 1000


def first(count: int, seed: str = "a") -> list[Fault]:
    return list(islice(plan(seed, workers=3, every=EVERY), count))


def test_a_seed_repeats_its_plan_and_another_has_another() -> None:
    assert first(200) == first(200)
    assert first(200) != first(200, seed="b")


def test_every_round_has_every_kind_as_often_as_it_says() -> None:
    faults = first(3 * FAULTS_A_ROUND)
    for begin in range(0, len(faults), FAULTS_A_ROUND):
        assert Counter(fault.kind for fault in faults[begin : begin + FAULTS_A_ROUND]) == ROUND
    assert set(ROUND) == set(Kind)


def test_faults_come_in_order_one_for_each_so_many_events() -> None:
    assert [fault.at // EVERY for fault in first(100)] == list(range(100))


def test_every_worker_has_its_share_and_lengths_are_within_their_bounds() -> None:
    faults = first(10 * FAULTS_A_ROUND)
    assert {fault.target for fault in faults if fault.kind is Kind.KILL} == {0, 1, 2}
    for fault in faults:
        low, high = SECONDS.get(fault.kind, (0.0, 0.0))
        assert low <= fault.seconds <= high
