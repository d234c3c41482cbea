"""What to do next, as pure functions and small state machines: no clock, no I/O."""

from dataclasses import dataclass
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
    """`[failures]`: `attempts` for a handler's own exception, `halt_above` dead letters in an hour."""

    attempts: int = 5
    order: Order = Order.KEY
    halt_above: int = 10_000
    same_id_other_payload: SameId = SameId.PARK
