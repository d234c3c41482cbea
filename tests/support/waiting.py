"""Wait for something that happens elsewhere, up to a time limit."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_SECONDS, LOOK_RARELY_SECONDS = 0.02, 0.1
"""The pause at first, and in the long run: most looks connect to a database, and other tests run meanwhile."""
WITHIN_SECONDS = 30.0
"""A limit for what takes a moment on a quiet machine; a busy machine takes many times longer."""


def eventually(condition: Callable[[], T], *, within: float = WITHIN_SECONDS, what: str = "") -> T:
    """Return the result of `condition` as soon as it is true.

    Fails the test after `within` seconds; `what` names in the failure what did not come.
    """
    deadline, pause = time.monotonic() + within, LOOK_EVERY_SECONDS
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition} was not so within {within} s; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(1.25 * pause, LOOK_RARELY_SECONDS)
    return answer
