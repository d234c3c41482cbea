"""The wait for servers that do not answer yet. It ends immediately when the program is asked to stop."""

import random
import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, Protocol, TypeVar

from inbox.backoff import backoff
from inbox.errors import TryAgainError
from inbox.log_lines import log

Found = TypeVar("Found")

_LOOK_SECONDS = 0.05


class StopSignal(Protocol):
    """A signal that the program should end, such as a `threading.Event`."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float) -> bool: ...


def retry_until(action: Callable[[], Found], timeout_seconds: float, stop: StopSignal) -> Found:
    """Return the result of `action`, called again and again while it raises TryAgainError.

    Raises:
        TryAgainError: `action` still raises it after `timeout_seconds`, or `stop` was set.
    """
    deadline, failures = monotonic() + timeout_seconds, 0
    while True:
        try:
            return action()
        except TryAgainError as error:
            failures += 1
            if failures == 1:
                log().warning(
                    "outage", away=error.away, reason=error.reason, error=str(error), at_most_seconds=timeout_seconds
                )
            pause = backoff(failures, random.random())  # noqa: S311 - jitter
            if monotonic() + pause > deadline:
                error.args = (f"{error}; gave up after {timeout_seconds:g} s",)
                raise
            if stop.wait(pause):
                raise


def run_until_stopped(action: Callable[[], Found], stop: StopSignal) -> Found | None:
    """Return or raise the result of `action`, or return None as soon as `stop` is set.

    `action` runs on a thread of its own, because a question to a server that is away can take its
    whole timeout. After a stop nobody waits for the thread, so cutting `action` off anywhere must
    be harmless.
    """
    running = _BackgroundAction(action)
    thread = threading.Thread(target=running.run, name="inbox-start", daemon=True)
    thread.start()
    while thread.is_alive():
        if stop.is_set():
            return None
        thread.join(_LOOK_SECONDS)
    return None if stop.is_set() else running.result()


class _BackgroundAction(Generic[Found]):
    """An action for another thread, with its result or its exception."""

    def __init__(self, action: Callable[[], Found]) -> None:
        self._action = action
        self._found: list[Found] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._found.append(self._action())
        except BaseException as error:  # noqa: BLE001 - raised again by result
            self._error = error

    def result(self) -> Found:
        if self._error is not None:
            raise self._error
        return self._found[0]
