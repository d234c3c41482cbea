"""Decide who is at fault for a failure: the event, which is parked, or the database, which is waited for. No I/O."""

from dataclasses import dataclass
from enum import Enum

from inbox.errors import Guess
from inbox.failure_policy import HANDFUL


class Blame(Enum):
    """The party at fault, and the consequence."""

    EVENT = "the event is parked"
    DATABASE = "the sink waits"


class Probe(Enum):
    """The database's answer to an event that applied before, tried once more and rolled back."""

    PASSED = "it applies"
    REFUSED = "it is refused as well"
    UNKNOWN = "there is none, or its answer says nothing"


@dataclass(frozen=True, kw_only=True)
class FailureCircumstances:
    """The evidence about one event that failed.

    Attributes:
        passed: events of the transaction that the database accepted with the same statement; for
            `NO_PARTITION` only those behind the event.
        alike: events of the transaction that failed like this one, including this one.
        probe: the result of trying events that applied before.
        repeatable: whether an event that applied before applies again while the database is
            unchanged; the effect of a handler need not.
        in_a_row: distinct events that failed since the last one applied, including this one.
    """

    passed: int = 0
    alike: int = 1
    probe: Probe = Probe.UNKNOWN
    repeatable: bool = True
    in_a_row: int = 1


def blame(guess: Guess, seen: FailureCircumstances) -> Blame:
    """Return who is at fault: by the evidence, or by the guess if there is no evidence."""
    if guess is Guess.VALUE:
        return Blame.EVENT
    if guess is Guess.NO_PARTITION:
        return _blame_for_partition(seen)
    if seen.passed or seen.probe is Probe.PASSED:
        return Blame.EVENT
    if guess is not Guess.EVENT or seen.in_a_row >= HANDFUL:
        return Blame.DATABASE
    return Blame.DATABASE if seen.probe is Probe.REFUSED and seen.repeatable else Blame.EVENT


def _blame_for_partition(seen: FailureCircumstances) -> Blame:
    """Decide for an event without a partition; events that applied before do not count as evidence here.

    An event of last month finds its partition while this month's partition is missing.
    """
    enough = 1 if seen.alike < HANDFUL else seen.alike
    return Blame.EVENT if seen.passed >= enough else Blame.DATABASE
