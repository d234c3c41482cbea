"""Name the places in the delivery path where a test may stop the process.

Only tests arm them. In production a failpoint is one comparison with None.
"""

from collections.abc import Callable
from enum import StrEnum


class Failpoint(StrEnum):
    """The steps of the transaction, in order. Tests crash the process on both sides of each."""

    ACQUIRED = "acquired"
    BEGUN = "begun"
    CLAIMED = "claimed"
    HANDLED = "handled"
    PARKED = "parked"
    FENCED = "fenced"
    COMMIT_SENT = "commit-sent"
    COMMITTED = "committed"
    TOLD = "told"
    IN_HANDLER = "in-handler"


_armed: Callable[[Failpoint], None] | None = None


def arm(action: Callable[[Failpoint], None] | None) -> None:
    """Call `action` at every failpoint from now on; None disarms them."""
    global _armed
    _armed = action


def failpoint(point: Failpoint) -> None:
    """Call the armed action, if any, at this failpoint."""
    if _armed is not None:
        _armed(point)
