"""Keep the order of a route's tries, so that a failure counts only beside a success of the same state. No I/O."""

from collections.abc import Iterable

_ANY = ""
"""Stands for every statement: what a success shows if the failed statement does not matter."""


class TryOrder:
    """The order in which the events of a route passed and failed within one transaction.

    The database may change between two tries: it is corrected, or it breaks. An event that failed
    before, and others that pass afterwards, then prove nothing. An event that fails both before and
    after a success is at fault: whenever the database changed, one of the failures shares its state
    with the success.
    """

    def __init__(self) -> None:
        self._tries = 0
        self._passed: dict[str, int] = {}
        self._failed: dict[int, tuple[int, int]] = {}

    def passed(self, statements: Iterable[str] = ()) -> None:
        """Record that a try passed, which executed these statements."""
        self._tries += 1
        self._passed |= dict.fromkeys((_ANY, *statements), self._tries)

    def failed(self, index: int) -> None:
        """Record that the event at this index failed alone."""
        self._tries += 1
        first, _ = self._failed.get(index, (self._tries, self._tries))
        self._failed[index] = first, self._tries

    def passed_since(self, index: int, statements: Iterable[str] = ()) -> bool:
        """Return whether each of these statements passed after the event's first failure."""
        first, _ = self._failed[index]
        return all(self._passed.get(each, 0) > first for each in (_ANY, *statements))

    def is_proven(self, index: int, statements: Iterable[str] = ()) -> bool:
        """Return whether the event failed before and after these statements passed."""
        first, last = self._failed[index]
        return all(first < self._passed.get(each, 0) < last for each in (_ANY, *statements))
