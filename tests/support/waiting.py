"""Wait for something that happens elsewhere, up to a time limit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_SECONDS, LOOK_RARELY_SECONDS = 0.02, 0.1
"""The pause at first, and in the long run: most looks connect to a database, and other tests run meanwhile."""
WITHIN_SECONDS = 120.0
"""A limit for what takes a moment on a quiet machine; a busy machine takes many times longer."""
THREADS = Path("/proc/self/task")


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


@contextmanager
def taking_at_most(seconds: float) -> Iterator[None]:
    """Fail the test if what it does meanwhile in this process takes longer than the product promises.

    The seconds for which threads of this process were ready, and the machine ran something else, do not count.
    So a quiet machine has to keep the promise to the letter, and a busy one fails only for what the product did.
    """
    watch = Stopwatch()
    yield
    took = watch.seconds()
    assert took <= seconds, f"{took:.1f} s, although {seconds} s are promised"


class Stopwatch:
    """A stopwatch that does not count while threads of this process are ready, and the machine runs something else."""

    def __init__(self) -> None:
        self._began, self._kept_waiting = time.monotonic(), _seconds_without_processor()

    def seconds(self) -> float:
        took = time.monotonic() - self._began
        now = _seconds_without_processor().items()
        return took - sum(waited - self._kept_waiting.get(thread, 0.0) for thread, waited in now)


def _seconds_without_processor() -> dict[str, float]:
    """Return for each thread of this process how long it has been ready without running; empty except on Linux."""
    found = {}
    for place in THREADS.glob("*/schedstat"):
        try:
            found[place.parent.name] = int(place.read_text().split()[1]) / 1e9
        except OSError:  # the thread has ended
            continue
    return found
