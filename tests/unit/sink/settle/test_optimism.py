"""Whether what comes next is taken to go well."""

from inbox.sink.settle.optimism import Foresight


def test_nothing_is_taken_to_go_well_before_a_part_did() -> None:
    foresight = Foresight()
    assert not foresight.is_good
    foresight.learned(well=True)
    assert foresight.is_good


def test_after_a_part_that_did_not_go_well_the_next_is_taken_with_care() -> None:
    foresight = Foresight()
    foresight.learned(well=True)
    foresight.learned(well=False)
    assert not foresight.is_good


def parts_until_good(foresight: Foresight) -> int:
    parts = 0
    while not foresight.is_good:
        foresight.learned(well=True)
        parts += 1
    return parts


def test_the_oftener_a_guess_was_wrong_the_later_is_the_next_one() -> None:
    foresight = Foresight()
    waited = []
    for _ in range(8):
        waited.append(parts_until_good(foresight))
        foresight.was_wrong()
    assert waited == [1, 2, 4, 8, 16, 32, 64, 64]


def test_guesses_that_are_right_bring_the_next_one_nearer() -> None:
    foresight = Foresight()
    for _ in range(3):
        foresight.was_wrong()
    parts_until_good(foresight)
    for _ in range(7):
        foresight.was_right()
    foresight.was_wrong()
    assert parts_until_good(foresight) == 2
