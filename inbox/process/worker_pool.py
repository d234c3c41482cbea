"""The decisions to start, end or give up the workers of a crew. No process is touched here.

A worker that dies is started again, later each time. A worker that halts ends the crew with its
exit code: the others would continue where a person has to decide. A worker that cannot start ends
the crew too, unless others are at work: a change since they started, such as a password that the
server does not know yet, is no reason to end them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from random import random
from signal import SIGTERM
from typing import NamedTuple

from inbox.backoff import backoff
from inbox.process.exit_codes import FOUND_A_FAILURE, HALT, STARTUP, USAGE

_CANNOT_START = frozenset({USAGE, STARTUP})
_TERMINATED = 128 + SIGTERM
_STEADY_SECONDS = 60.0
"""A worker that ran this long restarts with the shortest pause again."""


class Start(NamedTuple):
    """An action: start a process for this worker."""

    worker: int


class End(NamedTuple):
    """An action: ask this worker's process to end in order."""

    worker: int


Action = Start | End


class _Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    LEAVING = auto()
    DONE = auto()


@dataclass
class _Place:
    phase: _Phase = _Phase.WAITING
    start_at: float = 0.0
    began: float = 0.0
    failures: int = 0
    proven: bool = False
    outdated: bool = False


class Crew:
    """The workers 0 to `count` - 1 of one supervisor. Times are of one clock, in seconds.

    `until_end`: a worker that ends with 0 has done its part, and is not started again.
    """

    def __init__(self, count: int, *, until_end: bool = False, jitter: Callable[[], float] = random) -> None:
        self._places = [_Place() for _ in range(count)]
        self._until_end = until_end
        self._jitter = jitter
        self._stopping = False
        self._ever_ready = False
        self.code = 0

    @property
    def over(self) -> bool:
        """Return whether no process is left and none will be started. `code` is the program's exit code then."""
        return all(place.phase is _Phase.DONE for place in self._places)

    def due(self, now: float) -> list[Action]:
        """Return the actions that are due by now."""
        actions: list[Action] = []
        for worker, place in enumerate(self._places):
            if place.phase is _Phase.WAITING and place.start_at <= now:
                place.phase, place.began = _Phase.RUNNING, now
                place.proven = place.outdated = False
                actions.append(Start(worker))
        return actions or self._next_to_replace()

    def ready(self, worker: int) -> None:
        """Record that the worker has begun to do its work."""
        self._places[worker].proven = self._ever_ready = True

    def ended(self, worker: int, code: int, now: float) -> list[Action]:
        """Record that the worker's process is gone, and return the actions that follow.

        `code` is 128 + n if signal n ended the process.
        """
        place = self._places[worker]
        asked, place.phase = place.phase is _Phase.LEAVING, _Phase.DONE
        if asked and code == _TERMINATED:
            code = 0  # so young that it had not installed its signal handler yet
        if self._stopping:
            self.code = self.code or code
            return []
        if self._ends_all(code):
            self.code = code
            return self.stop()
        if code == 0 and self._until_end and not asked:
            return []
        place.phase, place.start_at = _Phase.WAITING, now
        if asked and code == 0:
            return []
        place.failures = 1 if now - place.began >= _STEADY_SECONDS else place.failures + 1
        place.start_at += backoff(place.failures, self._jitter())
        return []

    def _ends_all(self, code: int) -> bool:
        if code in _CANNOT_START:
            return not any(place.phase is _Phase.RUNNING and place.proven for place in self._places)
        return code == HALT or (code == FOUND_A_FAILURE and not self._ever_ready)

    def starts_in(self, worker: int, now: float) -> float | None:
        """Return the seconds until the worker is started again, or None if it is not going to be."""
        place = self._places[worker]
        return max(0.0, place.start_at - now) if place.phase is _Phase.WAITING else None

    def replace_all(self) -> None:
        """Begin to replace every running worker by a new one, one after the other."""
        for place in self._places:
            place.outdated = place.phase is _Phase.RUNNING

    def stop(self) -> list[Action]:
        """Start no worker any more, and return the actions that ask each running worker once to end."""
        self._stopping = True
        actions: list[Action] = []
        for worker, place in enumerate(self._places):
            if place.phase is _Phase.RUNNING:
                place.phase = _Phase.LEAVING
                actions.append(End(worker))
            elif place.phase is _Phase.WAITING:
                place.phase = _Phase.DONE
        return actions

    def _next_to_replace(self) -> list[Action]:
        if self._stopping or any(self._is_in_change(place) for place in self._places):
            return []
        for worker, place in enumerate(self._places):
            if place.outdated and place.phase is _Phase.RUNNING:
                place.phase = _Phase.LEAVING
                return [End(worker)]
        return []

    def _is_in_change(self, place: _Place) -> bool:
        """Return whether the next replacement has to wait for this worker.

        An outdated worker is not waited for: the very thing that changed may hold it up.
        """
        if place.phase is _Phase.RUNNING:
            return not place.proven and not place.outdated
        return place.phase is not _Phase.DONE
