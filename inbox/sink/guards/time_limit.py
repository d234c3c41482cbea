"""Limit the time of a handler call: the polling thread watches the thread that calls."""

import ctypes
import threading
import time
from collections.abc import Callable

from inbox.errors import TryAgainError

_GRACE_SECONDS = 10.0


class HandlerTimeoutError(Exception):
    """Raised inside a handler that exceeds `handler_timeout`.

    It counts as a failed attempt, like any exception that the handler raises.
    """


class TimeLimit:
    """The clock of handler calls.

    A handler that exceeds its time is interrupted between two steps of Python (CPython's
    `PyThreadState_SetAsyncExc`). Code that waits in C, for instance on a socket without a timeout,
    cannot be interrupted. Then the process must end, and the note of
    `inbox.sink.guards.crash_poison` counts the attempt.
    """

    def __init__(
        self, seconds: float, *, grace_seconds: float = _GRACE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._started: float | None = None
        self._thread = 0
        self._interrupted = False

    def __enter__(self) -> None:
        """Start the clock of one call, on the thread that makes it.

        Without the lock: nothing is interrupted before the last assignment, and every call comes here.
        """
        self._thread = threading.get_ident()
        self._started = self._clock()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._started = None
            if self._interrupted:
                # An interruption that is not delivered yet must not strike the sink's own code.
                _interrupt(self._thread, None)
                self._interrupted = False

    def enforce(self) -> None:
        """Interrupt the handler if it exceeds its time. Another thread calls this regularly.

        Raises:
            TryAgainError: the handler did not end when interrupted; only the end of the process
                ends it.
        """
        with self._lock:
            over = 0.0 if self._started is None else self._clock() - self._started - self._seconds
            if over > 0 and not self._interrupted:
                self._interrupted = True
                _interrupt(self._thread, HandlerTimeoutError)
        if over > self._grace_seconds:
            raise TryAgainError(
                f"a handler is still busy with one call after {self._seconds + over:.0f} s and cannot be interrupted; "
                "this process ends, so that the event is tried again, and parked after [failures] attempts; give what "
                "the handler waits for a timeout of its own, or raise [failures] handler_timeout"
            )


def _interrupt(thread: int, error: type[Exception] | None) -> None:
    argument = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)
