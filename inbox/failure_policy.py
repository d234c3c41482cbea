"""What becomes of an event that failed, by `[failures]`. No clock, no I/O."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Order(StrEnum):
    """What happens to later events of a key whose event was parked."""

    KEY = "key"
    NONE = "none"
    HALT = "halt"


class SameId(StrEnum):
    """What happens to an event whose id was applied before with another payload."""

    PARK = "park"
    COUNT = "count"


@dataclass(frozen=True, kw_only=True)
class FailureLimits:
    """`[failures]`: `attempts` for a handler's own exception, `halt_above` dead letters of a partition in an hour.

    `wait_for_rows` is how long an event waits for a row that another one may bring.
    `handler_timeout` is for one call of a handler, `copy_to` the topic that gets a copy of each dead letter.
    """

    attempts: int = 5
    handler_timeout: timedelta = timedelta(seconds=60)
    order: Order = Order.KEY
    halt_above: int = 10_000
    wait_for_rows: timedelta = timedelta(seconds=30)
    same_id_other_payload: SameId = SameId.PARK
    copy_to: str | None = None


class Verdict(StrEnum):
    """What becomes of one event whose attempt failed."""

    PARK = "park"
    AGAIN = "again"


def after_failure(*, certain: bool, attempts: int, limits: FailureLimits) -> Verdict:
    """`certain`: the event can never succeed; else it was its handler's exception, for the `attempts`-th time."""
    return Verdict.PARK if certain or attempts >= limits.attempts else Verdict.AGAIN


def pause_before_attempt(attempts: int, paused: float) -> float:
    """Seconds before the next try of one event after `attempts` failures: short, for its batch waits with it.

    `paused` is for how long the batch has waited so already: where many events fail, time does not fix them.
    """
    return min(0.005 * float(2 ** min(attempts - 1, 6)), max(0.0, LONGEST_PAUSES - paused))


LONGEST_PAUSES = 0.15
"""Seconds of pauses that the events of one route may cost their batch."""
