"""The clock that leases are counted by."""

import sys
import time
from collections.abc import Callable


def clock_of_sleepers() -> Callable[[], float]:
    """A clock that goes on while the machine is suspended, where there is one."""
    if sys.platform == "linux":
        return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic
