"""Waiting for what happens elsewhere, with an end to it."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_SECONDS, LOOK_RARELY_SECONDS = 0.02, 0.1
"""At first, and in the long run: most looks connect to a database, and others run meanwhile."""
WITHIN_SECONDS = 30.0
"""For what takes a moment on a quiet machine; a busy one has many times less for each of its processes."""


def eventually(condition: Callable[[], T], *, within: float = WITHIN_SECONDS, what: str = "") -> T:
    """What `condition` returns as soon as that is true.

    Fails the test after `within` seconds, in which `what` did not come.
    """
    deadline, pause = time.monotonic() + within, LOOK_EVERY_SECONDS
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition} was not so within {within} s; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(1.25 * pause, LOOK_RARELY_SECONDS)
    return answer
