"""Guard each handler call: note it where the note must outlive the process, and limit its time."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.sink.guards.time_limit import TimeLimit


class Calls(Protocol):
    """The interface of what surrounds the calls of one route's handler."""

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        """Return whether a batch handler gets single events too, to show in which one a process ended."""
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """Return the context for all calls of an attempt."""
        ...

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        """Return the context for one call with this event.

        Raises:
            TryAgainError: the call cannot be noted in the database.
        """
        ...

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        """Return the context for one call of a batch handler; the offsets are those of its first partition.

        Raises:
            TryAgainError: the call cannot be noted in the database.
        """
        ...


class WatchedCalls:
    """The handler calls of a running sink: noted and limited in time."""

    def __init__(self, route_id: int, limit: TimeLimit, crash_poison: CrashPoisonTracker) -> None:
        self._route_id = route_id
        self._limit = limit
        self._crash_poison = crash_poison

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        return self._crash_poison.suspected(self._route_id, partition_ids)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._crash_poison.finish_call()

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        self._crash_poison.start_call(self._route_id, partition_id, offset)
        return self._limit

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        self._crash_poison.start_call_with_all(self._route_id, partition_id, offsets)
        return self._limit


class LimitedCalls:
    """The handler calls for dead letters that a running sink tries by itself: limited in time, and not noted."""

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        return False

    def attempt(self) -> AbstractContextManager[None]:
        return nullcontext()

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        return self._limit

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        return self._limit


class UnwatchedCalls:
    """The handler calls of a command that a person watches: neither noted nor limited."""

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        return False

    def attempt(self) -> AbstractContextManager[None]:
        return nullcontext()

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        return nullcontext()

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        return nullcontext()
