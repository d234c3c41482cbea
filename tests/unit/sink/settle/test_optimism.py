"""Whether what comes next is taken to go well."""

from inbox.sink.settle.optimism import Optimism


def test_nothing_is_taken_to_go_well_before_a_part_did() -> None:
    optimism = Optimism()
    assert not optimism.expects_success
    optimism.observed(success=True)
    assert optimism.expects_success


def test_after_a_part_that_did_not_go_well_the_next_is_taken_with_care() -> None:
    optimism = Optimism()
    optimism.observed(success=True)
    optimism.observed(success=False)
    assert not optimism.expects_success


def parts_until_good(optimism: Optimism) -> int:
    parts = 0
    while not optimism.expects_success:
        optimism.observed(success=True)
        parts += 1
    return parts


def test_the_oftener_a_guess_was_wrong_the_later_is_the_next_one() -> None:
    optimism = Optimism()
    waited = []
    for _ in range(8):
        waited.append(parts_until_good(optimism))
        optimism.failed()
    assert waited == [1, 2, 4, 8, 16, 32, 64, 64]


def test_guesses_that_are_right_bring_the_next_one_nearer() -> None:
    optimism = Optimism()
    for _ in range(3):
        optimism.failed()
    parts_until_good(optimism)
    for _ in range(7):
        optimism.succeeded()
    optimism.failed()
    assert parts_until_good(optimism) == 2
