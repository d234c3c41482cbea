"""Named places in the delivery path where a test may stop the process.

Nothing outside the tests arms them: in production a failpoint is one comparison with None.
"""

from collections.abc import Callable
from enum import StrEnum


class Failpoint(StrEnum):
    """The steps of the transaction, in order; a crash is tried on both sides of each."""

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
    """Call `action` at every failpoint from now on; None disarms."""
    global _armed
    _armed = action


def reach(point: Failpoint) -> None:
    if _armed is not None:
        _armed(point)
