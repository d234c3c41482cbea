"""The signals SIGTERM and SIGINT: the first asks to end in order, the second ends the process immediately."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_LOOK_SECONDS = 0.05
_SHOW_CURSOR = b"\x1b[?25h\n"
"""The sequence that shows the cursor, which the live line hides (ECMA-48, DECTCEM)."""


class Stop:
    """A flag that the first signal sets.

    A `threading.Event` would not do: its lock is not reentrant, so a signal that arrives while the
    same thread is inside `wait` could block it for good.
    """

    def __init__(self) -> None:
        self._set = False
        self._then: Callable[[], None] = lambda: None

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._then()

    def wait(self, timeout: float) -> bool:
        """Wait until the stop is set, at most `timeout` seconds, and return whether it is set."""
        deadline = time.monotonic() + timeout
        while not self._set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_LOOK_SECONDS, left))
        return self._set

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` when the stop is set, or immediately if it is set already."""
        self._then = action
        if self._set:
            action()


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM or SIGINT set `stop` while the context is entered.

    A second signal ends the process immediately with 128 + its number.
    """

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR)
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
