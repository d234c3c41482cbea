"""Whose fault a failure is: the event's, which is parked, or the database's, which is waited for. No I/O."""

from dataclasses import dataclass
from enum import Enum

from inbox.errors import Guess

HANDFUL = 5
"""Distinct events that fail one after the other: from here on it is hardly the events."""


class Blame(Enum):
    """Who is at fault."""

    EVENT = "the event is parked"
    DATABASE = "the sink waits"


class Probe(Enum):
    """The answer of the database to an event that applied before, tried once more and rolled back."""

    PASSED = "it applies"
    REFUSED = "it is refused as well"
    UNKNOWN = "there is none, or its answer says nothing"


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """The evidence beside one event that failed.

    Attributes:
        passed: events of the transaction that the database took with the same statement; for `NO_PARTITION` only
            those behind the event.
        alike: events of the transaction that failed like this one, with it.
        probe: what became of events that applied before.
        repeatable: an event that applied before applies again, as long as the database is as it was; the effect of
            a handler need not.
        in_a_row: distinct events that failed since the last one applied, with this one.
    """

    passed: int = 0
    alike: int = 1
    probe: Probe = Probe.UNKNOWN
    repeatable: bool = True
    in_a_row: int = 1


def blame(guess: Guess, seen: Circumstances) -> Blame:
    """Decide by the evidence, and by the guess where there is none."""
    if guess is Guess.VALUE:
        return Blame.EVENT
    if guess is Guess.NO_PARTITION:
        return _blame_for_partition(seen)
    if seen.passed or seen.probe is Probe.PASSED:
        return Blame.EVENT
    if guess is not Guess.EVENT or seen.in_a_row >= HANDFUL:
        return Blame.DATABASE
    return Blame.DATABASE if seen.probe is Probe.REFUSED and seen.repeatable else Blame.EVENT


def _blame_for_partition(seen: Circumstances) -> Blame:
    """A row of last month finds its partition while this month's is missing, so what applied before is no evidence."""
    enough = 1 if seen.alike < HANDFUL else seen.alike
    return Blame.EVENT if seen.passed >= enough else Blame.DATABASE
