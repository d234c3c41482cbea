"""SIGTERM and SIGINT: the first asks to end in order, the second ends at once."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_LOOK_SECONDS = 0.05
_SHOW_CURSOR = b"\x1b[?25h\n"
"""The live line hides it (ECMA-48, DECTCEM)."""


class Stop:
    """Set by the first signal.

    A `threading.Event` would not do: its lock is not reentrant, so a signal that arrives while the same
    thread is inside `wait` could block it for good.
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
        """Until it is set, at most `timeout` seconds; returns whether it is."""
        deadline = time.monotonic() + timeout
        while not self._set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(_LOOK_SECONDS, left))
        return self._set

    def then(self, action: Callable[[], None]) -> None:
        """Call `action` when it is set, at once if it is already."""
        self._then = action
        if self._set:
            action()


@contextmanager
def stopped_by_signals(stop: Stop) -> Iterator[None]:
    """Inside, SIGTERM or SIGINT sets `stop`, and another one ends the process at once with 128 + its number."""

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
