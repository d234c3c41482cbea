"""Which worker of a crew is started, ended or given up, and when: no process is touched here.

A worker that dies is started again, later each time. One that halts ends the crew with its exit code: the others would
continue where a person has to decide. So does one that cannot start, unless others are at work: what changed since they
started, such as a password that the server does not know yet, is no reason to end them.
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
    """Start a process for this worker."""

    worker: int


class End(NamedTuple):
    """Ask this worker's process to end in order."""

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
    """The workers 0 to `count` - 1 of one supervisor; times are of one clock, in seconds.

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
        """Whether no process is left and none will be started; then `code` is the program's."""
        return all(place.phase is _Phase.DONE for place in self._places)

    def due(self, now: float) -> list[Action]:
        """What is to be done by now."""
        actions: list[Action] = []
        for worker, place in enumerate(self._places):
            if place.phase is _Phase.WAITING and place.start_at <= now:
                place.phase, place.began = _Phase.RUNNING, now
                place.proven = place.outdated = False
                actions.append(Start(worker))
        return actions or self._next_to_replace()

    def ready(self, worker: int) -> None:
        """It has come to do its work."""
        self._places[worker].proven = self._ever_ready = True

    def ended(self, worker: int, code: int, now: float) -> list[Action]:
        """Its process is gone; `code` is 128 + n where signal n ended it."""
        place = self._places[worker]
        asked, place.phase = place.phase is _Phase.LEAVING, _Phase.DONE
        if asked and code == _TERMINATED:
            code = 0  # so young that it had not got to its handler of the signal
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
        """How long until it is started again; None where it is not."""
        place = self._places[worker]
        return max(0.0, place.start_at - now) if place.phase is _Phase.WAITING else None

    def replace_all(self) -> None:
        """Every worker that runs now should give way to a new one, one after the other."""
        for place in self._places:
            place.outdated = place.phase is _Phase.RUNNING

    def stop(self) -> list[Action]:
        """Nobody is started any more; whoever runs is asked to end, once."""
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
        """Waited for before the next is replaced; an outdated one may be held up by the very thing that changed."""
        if place.phase is _Phase.RUNNING:
            return not place.proven and not place.outdated
        return place.phase is not _Phase.DONE
