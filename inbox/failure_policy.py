"""Decide what happens to an event that failed, by `[failures]`. No clock, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from inbox.errors import FailureKind

HANDFUL = 5
"""The number of distinct events failing in a row from which the events are probably not at fault."""


class RetriedKind(StrEnum):
    """A kind of cause that may pass with time, as a `FailureKind`. A value that no column takes never passes."""

    HANDLER = "handler"
    CONSTRAINT = "constraint"
    RAISED = "raised"


class Order(StrEnum):
    """The rule for later events of a key whose event was parked."""

    KEY = "key"
    NONE = "none"
    HALT = "halt"


class SameId(StrEnum):
    """The rule for an event whose id was applied before with another payload."""

    PARK = "park"
    COUNT = "count"


class CopyFormat(StrEnum):
    """The form of a dead letter's copy in a topic: a JSON document, or the record itself with context in headers."""

    JSON = "json"
    RECORD = "record"


@dataclass(frozen=True, kw_only=True)
class FailureLimits:
    """The `[failures]` table of the configuration.

    Attributes:
        attempts: how often an event is tried if its handler raises an exception of its own.
        handler_timeout: the limit of one handler call.
        halt_above: the number of a partition's dead letters within an hour above which the
            partition is paused.
        wait_for_rows: how long an event waits for a row that another event may bring.
        copy_to: the topic that gets a copy of each dead letter, or None.
        retry_after: the times after which the running sink tries a parked event again by itself.
        retry_on: the kinds of causes for which it does.
    """

    attempts: int = 5
    handler_timeout: timedelta = timedelta(seconds=60)
    order: Order = Order.KEY
    halt_above: int = 10_000
    wait_for_rows: timedelta = timedelta(seconds=30)
    same_id_other_payload: SameId = SameId.PARK
    copy_to: str | None = None
    copy_format: CopyFormat = CopyFormat.JSON
    retry_after: Sequence[timedelta] = ()
    retry_on: Sequence[RetriedKind] = (RetriedKind.HANDLER, RetriedKind.CONSTRAINT)


class FailureDecision(StrEnum):
    """The decision about one event whose attempt failed."""

    PARK = "park"
    AGAIN = "again"


def after_failure(*, certain: bool, attempts: int, limits: FailureLimits) -> FailureDecision:
    """Return what happens to an event after a failure.

    `certain` means that the event can never succeed. Otherwise its handler raised an exception for
    the `attempts`-th time.
    """
    return FailureDecision.PARK if certain or attempts >= limits.attempts else FailureDecision.AGAIN


def retry_delay(retries: int, kind: FailureKind, limits: FailureLimits, jitter: float) -> timedelta | None:
    """Return the time until a parked event is tried again by itself, or None if it is not.

    `retries` tries were made before. `jitter`, from 0 to 1, spreads events that were parked together: no try is
    earlier than `retry_after` says, and none is later by more than a tenth of it.
    """
    if kind.value not in limits.retry_on or retries >= len(limits.retry_after):
        return None
    return limits.retry_after[retries] * (1 + _LONGEST_JITTER * jitter)


_LONGEST_JITTER = 0.1


def pause_before_attempt(attempts: int, paused: float) -> float:
    """Return the seconds before the next try of an event after `attempts` failures. They are few: its batch waits too.

    `paused` is how many seconds the batch has waited like this already. If many events fail, time
    does not fix them.
    """
    return min(0.005 * float(2 ** min(attempts - 1, 6)), max(0.0, LONGEST_PAUSES - paused))


LONGEST_PAUSES = 0.15
"""The most seconds of pauses that the events of one route may cost their batch."""
