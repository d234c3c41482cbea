"""The decisions to start, end or give up the workers of a pool. No process is touched here.

A worker that dies is restarted, after a longer pause each time. A worker that halts ends the pool with its
exit code: the others would continue where a person has to decide. A worker that cannot start ends
the pool too, unless others are running: what changed since they started, such as a password that the
server does not know yet, must not end them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from random import random
from signal import SIGTERM
from typing import NamedTuple

from inbox.backoff import backoff
from inbox.process.exit_codes import FAILURE, HALT, STARTUP, USAGE

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
class _Slot:
    phase: _Phase = _Phase.WAITING
    start_at: float = 0.0
    began: float = 0.0
    failures: int = 0
    proven: bool = False
    outdated: bool = False


class WorkerPool:
    """The workers 0 to `count` - 1 of one supervisor. Times are of one clock, in seconds.

    `until_end`: a worker that ends with 0 has done its part, and is not started again.
    """

    def __init__(self, count: int, *, until_end: bool = False, jitter: Callable[[], float] = random) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._until_end = until_end
        self._jitter = jitter
        self._stopping = False
        self._ever_ready = False
        self.code = 0

    @property
    def over(self) -> bool:
        """Return whether no process is left and none will be started. `code` is the program's exit code then."""
        return all(slot.phase is _Phase.DONE for slot in self._slots)

    def due(self, now: float) -> list[Action]:
        """Return the actions that are due by now."""
        actions: list[Action] = []
        for worker, slot in enumerate(self._slots):
            if slot.phase is _Phase.WAITING and slot.start_at <= now:
                slot.phase, slot.began = _Phase.RUNNING, now
                slot.proven = slot.outdated = False
                actions.append(Start(worker))
        return actions or self._next_to_replace()

    def ready(self, worker: int) -> None:
        """Record that the worker has begun to do its work."""
        self._slots[worker].proven = self._ever_ready = True

    def ended(self, worker: int, code: int, now: float) -> list[Action]:
        """Record that the worker's process is gone, and return the actions that follow.

        `code` is 128 + n if signal n ended the process.
        """
        slot = self._slots[worker]
        asked, slot.phase = slot.phase is _Phase.LEAVING, _Phase.DONE
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
        slot.phase, slot.start_at = _Phase.WAITING, now
        if asked and code == 0:
            return []
        slot.failures = 1 if now - slot.began >= _STEADY_SECONDS else slot.failures + 1
        slot.start_at += backoff(slot.failures, self._jitter())
        return []

    def _ends_all(self, code: int) -> bool:
        if code in _CANNOT_START:
            return not any(slot.phase is _Phase.RUNNING and slot.proven for slot in self._slots)
        return code == HALT or (code == FAILURE and not self._ever_ready)

    def starts_in(self, worker: int, now: float) -> float | None:
        """Return the seconds until the worker is started again, or None if it is not going to be."""
        slot = self._slots[worker]
        return max(0.0, slot.start_at - now) if slot.phase is _Phase.WAITING else None

    def replace_all(self) -> None:
        """Begin to replace every running worker by a new one, one after the other."""
        for slot in self._slots:
            slot.outdated = slot.phase is _Phase.RUNNING

    def stop(self) -> list[Action]:
        """Start no worker any more, and return the actions that ask each running worker once to end."""
        self._stopping = True
        actions: list[Action] = []
        for worker, slot in enumerate(self._slots):
            if slot.phase is _Phase.RUNNING:
                slot.phase = _Phase.LEAVING
                actions.append(End(worker))
            elif slot.phase is _Phase.WAITING:
                slot.phase = _Phase.DONE
        return actions

    def _next_to_replace(self) -> list[Action]:
        if self._stopping or any(self._is_in_change(slot) for slot in self._slots):
            return []
        for worker, slot in enumerate(self._slots):
            if slot.outdated and slot.phase is _Phase.RUNNING:
                slot.phase = _Phase.LEAVING
                return [End(worker)]
        return []

    def _is_in_change(self, slot: _Slot) -> bool:
        """Return whether the next replacement has to wait for this worker.

        An outdated worker is not waited for: the very thing that changed may hold it up.
        """
        if slot.phase is _Phase.RUNNING:
            return not slot.proven and not slot.outdated
        return slot.phase is not _Phase.DONE
