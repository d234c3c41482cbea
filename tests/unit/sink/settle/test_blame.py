"""Who is at fault for a failure, a case for each kind of evidence."""

import pytest

from inbox.errors import Guess
from inbox.sink.settle.blame import HANDFUL, Blame, Circumstances, Probe, blame

EVENT, DATABASE = Blame.EVENT, Blame.DATABASE

CASES: list[tuple[str, Guess, Circumstances, Blame]] = [
    ("a value, though every event fails", Guess.VALUE, Circumstances(in_a_row=99, probe=Probe.REFUSED), EVENT),
    ("the database's by its code, but others pass", Guess.DATABASE, Circumstances(passed=1), EVENT),
    ("the database's by its code, but the probe passes", Guess.DATABASE, Circumstances(probe=Probe.PASSED), EVENT),
    ("the database's by its code, and no evidence", Guess.DATABASE, Circumstances(), DATABASE),
    ("the database's by its code, and the probe fails", Guess.DATABASE, Circumstances(probe=Probe.REFUSED), DATABASE),
    ("the server's, but others pass", Guess.SERVER, Circumstances(passed=1), EVENT),
    ("the server's, and no evidence", Guess.SERVER, Circumstances(), DATABASE),
    ("the event's by its code, and no evidence", Guess.EVENT, Circumstances(), EVENT),
    ("the event's by its code, others pass", Guess.EVENT, Circumstances(passed=1, in_a_row=HANDFUL), EVENT),
    ("the event's by its code, but the probe fails", Guess.EVENT, Circumstances(probe=Probe.REFUSED), DATABASE),
    (
        "the event's by its code, and a handler's effect cannot be repeated",
        Guess.EVENT,
        Circumstances(probe=Probe.REFUSED, repeatable=False),
        EVENT,
    ),
    (
        "a handful in a row, and what a handler did before fails too",
        Guess.EVENT,
        Circumstances(probe=Probe.REFUSED, repeatable=False, in_a_row=HANDFUL),
        DATABASE,
    ),
    ("fewer than a handful in a row", Guess.EVENT, Circumstances(in_a_row=HANDFUL - 1), EVENT),
    ("a handful in a row", Guess.EVENT, Circumstances(in_a_row=HANDFUL), DATABASE),
    (
        "a handful in a row, but the probe passes",
        Guess.EVENT,
        Circumstances(in_a_row=HANDFUL, probe=Probe.PASSED),
        EVENT,
    ),
    ("no partition, alone", Guess.NO_PARTITION, Circumstances(), DATABASE),
    ("no partition, and last month's event applies", Guess.NO_PARTITION, Circumstances(probe=Probe.PASSED), DATABASE),
    ("no partition, and one behind it has one", Guess.NO_PARTITION, Circumstances(passed=1, alike=2), EVENT),
    (
        "no partition for more events than have one",
        Guess.NO_PARTITION,
        Circumstances(passed=HANDFUL, alike=HANDFUL + 1),
        DATABASE,
    ),
    (
        "no partition for a few among many",
        Guess.NO_PARTITION,
        Circumstances(passed=1000, alike=HANDFUL),
        EVENT,
    ),
]


@pytest.mark.parametrize(("guess", "seen", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_evidence_decides_and_the_guess_where_there_is_none(guess: Guess, seen: Circumstances, expected: Blame) -> None:
    assert blame(guess, seen) is expected
