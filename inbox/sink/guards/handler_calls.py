"""One call of a handler: noted where it must outlive the process, and watched by the clock."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from inbox.sink.guards.crash_poison import Suspects
from inbox.sink.guards.time_limit import TimeLimit


class Calls(Protocol):
    """What stands around the calls of one route's handler."""

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        """A batch handler gets single events too once a process ended in it, so that it shows which one did it."""
        ...

    def attempt(self) -> AbstractContextManager[None]:
        """Around all calls of an attempt."""
        ...

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        """Around one call, with the event that it is made for.

        Raises:
            TryAgainError: the call cannot be noted in the database.
        """
        ...

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        """Around the call of a batch handler, with the events that it is made for, of its first partition.

        Raises:
            TryAgainError: as `call`.
        """
        ...


class WatchedCalls:
    """Those of a sink at work."""

    def __init__(self, route_id: int, limit: TimeLimit, suspects: Suspects) -> None:
        self._route_id = route_id
        self._limit = limit
        self._suspects = suspects

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        return self._suspects.suspected(self._route_id, partition_ids)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._suspects.put_down()

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        self._suspects.in_hand(self._route_id, partition_id, offset)
        return self._limit

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        self._suspects.all_in_hand(self._route_id, partition_id, offsets)
        return self._limit


class UnwatchedCalls:
    """Those of a command, which a person watches."""

    def one_by_one(self, partition_ids: Iterable[int]) -> bool:
        return False

    def attempt(self) -> AbstractContextManager[None]:
        return nullcontext()

    def call(self, partition_id: int, offset: int) -> AbstractContextManager[None]:
        return nullcontext()

    def call_with_all(self, partition_id: int, offsets: range) -> AbstractContextManager[None]:
        return nullcontext()
