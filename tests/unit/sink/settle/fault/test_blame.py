"""Who is at fault for a failure, a case for each kind of evidence."""

import pytest

from inbox.errors import Guess
from inbox.sink.settle.fault.blame import HANDFUL, Blame, FailureCircumstances, Probe, blame

EVENT, DATABASE = Blame.EVENT, Blame.DATABASE

CASES: list[tuple[str, Guess, FailureCircumstances, Blame]] = [
    ("a value, though every event fails", Guess.VALUE, FailureCircumstances(in_a_row=99, probe=Probe.REFUSED), EVENT),
    ("the database's by its code, but others pass", Guess.DATABASE, FailureCircumstances(passed=1), EVENT),
    (
        "the database's by its code, but the probe passes",
        Guess.DATABASE,
        FailureCircumstances(probe=Probe.PASSED),
        EVENT,
    ),
    ("the database's by its code, and no evidence", Guess.DATABASE, FailureCircumstances(), DATABASE),
    (
        "the database's by its code, and the probe fails",
        Guess.DATABASE,
        FailureCircumstances(probe=Probe.REFUSED),
        DATABASE,
    ),
    ("the server's, but others pass", Guess.SERVER, FailureCircumstances(passed=1), EVENT),
    ("the server's, and no evidence", Guess.SERVER, FailureCircumstances(), DATABASE),
    ("the event's by its code, and no evidence", Guess.EVENT, FailureCircumstances(), EVENT),
    ("the event's by its code, others pass", Guess.EVENT, FailureCircumstances(passed=1, in_a_row=HANDFUL), EVENT),
    ("the event's by its code, but the probe fails", Guess.EVENT, FailureCircumstances(probe=Probe.REFUSED), DATABASE),
    (
        "the event's by its code, and a handler's effect cannot be repeated",
        Guess.EVENT,
        FailureCircumstances(probe=Probe.REFUSED, repeatable=False),
        EVENT,
    ),
    (
        "a handful in a row, and what a handler did before fails too",
        Guess.EVENT,
        FailureCircumstances(probe=Probe.REFUSED, repeatable=False, in_a_row=HANDFUL),
        DATABASE,
    ),
    ("fewer than a handful in a row", Guess.EVENT, FailureCircumstances(in_a_row=HANDFUL - 1), EVENT),
    ("a handful in a row", Guess.EVENT, FailureCircumstances(in_a_row=HANDFUL), DATABASE),
    (
        "a handful in a row, but the probe passes",
        Guess.EVENT,
        FailureCircumstances(in_a_row=HANDFUL, probe=Probe.PASSED),
        EVENT,
    ),
    ("no partition, alone", Guess.NO_PARTITION, FailureCircumstances(), DATABASE),
    (
        "no partition, and last month's event applies",
        Guess.NO_PARTITION,
        FailureCircumstances(probe=Probe.PASSED),
        DATABASE,
    ),
    ("no partition, and one behind it has one", Guess.NO_PARTITION, FailureCircumstances(passed=1, alike=2), EVENT),
    (
        "no partition for more events than have one",
        Guess.NO_PARTITION,
        FailureCircumstances(passed=HANDFUL, alike=HANDFUL + 1),
        DATABASE,
    ),
    (
        "no partition for a few among many",
        Guess.NO_PARTITION,
        FailureCircumstances(passed=1000, alike=HANDFUL),
        EVENT,
    ),
]


@pytest.mark.parametrize(("guess", "seen", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_evidence_decides_and_the_guess_where_there_is_none(
    guess: Guess, seen: FailureCircumstances, expected: Blame
) -> None:
    assert blame(guess, seen) is expected
